package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

const configurationFile = "../../docs/configuration.md"

// TestConfigurationIsDocumented holds docs/configuration.md to the flags. UPDATE=1 writes it.
func TestConfigurationIsDocumented(t *testing.T) {
	var c cli
	parser, err := kong.New(&c, kong.Name("berth"), kong.Vars{"version": "test"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Configuration\n\nMade from the flags by `UPDATE=1 go test ./cmd/berth`. Every flag of `berth serve` is also an environment variable.\n" +
		"Environments are described in [deploy/environments.yaml](../deploy/environments.yaml).\n")
	for _, command := range parser.Model.Leaves(true) {
		fmt.Fprintf(&b, "\n## berth %s\n\n%s\n", command.Path(), command.Help)
		for i, flag := range command.Flags {
			if i == 0 {
				b.WriteString("\n| flag | variable | default | |\n|---|---|---|---|\n")
			}
			fmt.Fprintf(&b, "| `--%s` | %s | %s | %s |\n", flag.Name, quoted(strings.Join(flag.Envs, " ")), quoted(flag.Default), flag.Help)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(configurationFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(configurationFile)
	if err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the flags say (%v): run UPDATE=1 go test ./cmd/berth", configurationFile, err)
	}
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
