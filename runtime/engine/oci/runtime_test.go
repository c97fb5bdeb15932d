package oci_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
)

func TestLastError(t *testing.T) {
	for _, test := range []struct{ name, log, want string }{
		{"empty", "", "failed without a message"},
		{"one", `{"level":"error","msg":"no such container"}`, "no such container"},
		{"the last", `{"level":"error","msg":"first"}` + "\n" + `{"level":"fatal","msg":"second"}` + "\n", "second"},
		{"warnings", `{"level":"error","msg":"this"}` + "\n" + `{"level":"warning","msg":"that"}`, "this"},
		{"torn", `{"level":"error","msg":"this"}` + "\n" + `{"level":"error","ms`, "this"},
		{"not JSON", "panic: oh\n", "failed without a message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oci.LastError(strings.NewReader(test.log)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzLastError: a container has a say in what runc logs. The message is bounded and is text.
func FuzzLastError(f *testing.F) {
	f.Add([]byte(`{"level":"error","msg":"no such container"}`))
	f.Add([]byte(`{"level":"error","msg":"` + strings.Repeat("é", oci.MaxMessage) + `"}`))
	f.Add([]byte(`{"level":"fatal","msg":"x` + strings.Repeat("é", oci.MaxMessage) + `"}`))
	f.Add([]byte("{\"level\":\"error\",\"msg\":\"\xff\"}\n{"))
	f.Fuzz(func(t *testing.T, log []byte) {
		got := oci.LastError(strings.NewReader(string(log)))
		if len(got) > oci.MaxMessage || !utf8.ValidString(got) {
			t.Errorf("a message of %d bytes, %.40q", len(got), got)
		}
	})
}

// newRuntime returns a runtime whose runc is a script. $LOG and $PIDFILE are where runc writes.
func newRuntime(t *testing.T, script string) *oci.Runtime {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "runc")
	head := `#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --log) LOG=$2;; --pid-file) PIDFILE=$2;; esac; shift; done
`
	if err := os.WriteFile(path, []byte(head+script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &process.Reaper{}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return &oci.Runtime{Path: path, Root: t.TempDir(), Reaper: r}
}

// least is the least that can be described.
func least() *specs.Spec {
	return &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{CgroupsPath: "/x"}}
}

func TestRunFails(t *testing.T) {
	r := newRuntime(t, `echo '{"level":"error","msg":"exec: \"nope\": executable file not found"}' >>$LOG; exit 255`)
	_, err := r.Run(t.Context(), "workspace", t.TempDir(), least())
	var failed *oci.Error
	if !errors.As(err, &failed) || failed.Code != 255 || !strings.Contains(failed.Message, "not found") {
		t.Errorf("Run = %v, want what runc said", err)
	}
	leaves(t, r.Root)
}

func TestRunRefusesPIDs(t *testing.T) {
	for _, pid := range []string{"", "0", "1", "-1", "x"} {
		t.Run(pid, func(t *testing.T) { // each with the one reaper there may be
			r := newRuntime(t, "printf %s '"+pid+"' >$PIDFILE")
			if p, err := r.Run(t.Context(), "workspace", t.TempDir(), least()); err == nil {
				t.Errorf("PID %q became %d: signals would go to others", pid, p.PID)
			}
		})
	}
}

func TestExecOfNothing(t *testing.T) {
	r := newRuntime(t, "exit 1")
	_, err := r.Exec(t.Context(), "nope", &specs.Process{Args: []string{"true"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "container does not exist") {
		t.Errorf("Exec = %v", err)
	}
}

func leaves(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in runc's directory: %v, %v", left, err)
	}
}
