package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for args, want := range map[string][]host{
		"":                               nil,
		"--help":                         nil,
		"-H tcp://0.0.0.0:2375":          {{"tcp", "0.0.0.0:2375"}},
		"-Htcp://127.0.0.1":              {{"tcp", "127.0.0.1:2375"}},
		"--host=tcp://[::1]:1 -H=tcp://": {{"tcp", "[::1]:1"}, {"tcp", "localhost:2375"}},
		"-H unix:///run/x.sock":          {{"unix", "/run/x.sock"}},
		"-H unix:///var/run/docker.sock -Htcp://a": {{"tcp", "a:2375"}},
	} {
		got, err := parse(strings.Fields(args))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", args, got, err, want)
		}
	}
	for args, want := range map[string]string{
		"-H":                "needs an argument",
		"-H fd://":          "invalid address",
		"-H unix://x":       "invalid address",
		"-H 127.0.0.1:2375": "invalid address",
		"--debug":           "--debug is not an option here",
		"-D":                "-D is not an option here",
		"run":               "run is not an option here",
	} {
		if got, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", args, got, err, want)
		}
	}
}
