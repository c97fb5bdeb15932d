package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPlugin builds the program, and puts it in the place of a plugin that is a script.
func TestPlugin(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "cli-plugins", "docker-x")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", at, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), at, "docker-cli-plugin-metadata").CombinedOutput(); err == nil {
		t.Errorf("there is no plugin, and it says %s", out)
	}
	script := "#!/bin/sh\n[ \"$1\" = fail ] && exit 7\necho \"plugin: $*, GOGC=$GOGC\"\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-x"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	say := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), at, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if got := say("docker-cli-plugin-metadata"); got != "plugin: docker-cli-plugin-metadata, GOGC=400\n" {
		t.Errorf("without its answer the plugin itself is asked: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-x.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := say("docker-cli-plugin-metadata"); got != "{}" {
		t.Errorf("it says %q", got)
	}
	if got := say("x", "build", "a b"); got != "plugin: x build a b, GOGC=400\n" {
		t.Errorf("the plugin says %q", got)
	}
	t.Setenv("GOGC", "off")
	if got := say("x"); got != "plugin: x, GOGC=off\n" {
		t.Errorf("what the visitor has set is not kept: %q", got)
	}
	if err := exec.CommandContext(t.Context(), at, "fail").Run(); err == nil || err.Error() != "exit status 7" {
		t.Errorf("the plugin ends with %v", err)
	}
}
