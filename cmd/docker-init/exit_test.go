package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExitsAsTheProgramDid(t *testing.T) {
	for _, c := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0},
		{"exit 3", 3},
		{"exit 255", 255},
		{"kill -KILL $$", 128 + int(unix.SIGKILL)},
		{"kill -TERM $$", 128 + int(unix.SIGTERM)},
		{"ulimit -c 0; kill -SEGV $$", 128 + int(unix.SIGSEGV)},
	} {
		t.Run(c.script, func(t *testing.T) {
			p := start(t, 0, "sh", "-c", c.script)
			if got := p.exit(t); got != c.want || p.said(t) != "" {
				t.Errorf("exit status %d, want %d; standard error %q", got, c.want, p.said(t))
			}
		})
	}
}

func TestSaysWhyTheProgramCannotStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "not-executable")
	garbage := filepath.Join(dir, "garbage")
	for name, mode := range map[string]os.FileMode{file: 0o644, garbage: 0o755} {
		if err := os.WriteFile(name, []byte("\x7fgarbage"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		program string
		want    int
	}{
		{"no-such-program", 127},
		{filepath.Join(dir, "no-such-file"), 127},
		{file, 126},
		{dir, 126},
		{garbage, 126},
	} {
		t.Run(filepath.Base(c.program), func(t *testing.T) {
			p := start(t, 0, c.program)
			got := p.exit(t)
			message := p.said(t)
			if got != c.want || !strings.HasPrefix(message, "docker-init: ") || !strings.Contains(message, filepath.Base(c.program)) {
				t.Errorf("exit status %d, want %d; standard error %q", got, c.want, message)
			}
		})
	}
}

func TestArgumentsAndStreamsAreTheProgramsOwn(t *testing.T) {
	p := start(t, 0, "sh", "-c", `echo "$0|$1"; echo failing >&2`, "a b", "")
	if got := p.line(t); got != "a b|" {
		t.Errorf("the arguments are %q", got)
	}
	if code := p.exit(t); code != 0 || p.said(t) != "failing\n" {
		t.Errorf("exit status %d, standard error %q", code, p.said(t))
	}
}

func TestWithoutArgumentsEndsAtSIGTERM(t *testing.T) {
	p := start(t, 0)
	p.listening(t)
	p.signal(t, unix.SIGHUP) // not an end
	p.signal(t, unix.SIGUSR1)
	p.signal(t, unix.SIGTERM)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit status %d; standard error %q", code, p.said(t))
	}
}
