package container_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth/runtime/sandbox/sandboxtest"
	"berth/sessions"
)

// The containers are tried where they live: in a sandbox of this program's own, by the real docker command from outside.
func TestMain(m *testing.M) { sandboxtest.Main(m) }

// box is a sandbox with the docker command at its socket.
type box struct {
	t    *testing.T
	dir  string // of its sockets and state
	pid  int    // of its first process
	path string // of the docker command
}

func newBox(t *testing.T) *box {
	t.Helper()
	h := sandboxtest.New(t)
	b := &box{t: t, path: sandboxtest.Program(t, "docker")}
	spec := sandboxtest.Spec()
	spec.Limits.CPUs, spec.Limits.MemoryBytes, spec.Limits.PIDs = 2, 512<<20, 1024
	id := sessions.NewID()
	s, err := h.Launcher(t).Launch(t.Context(), id, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	b.dir = filepath.Join(h.Config.RunDir, string(id))
	raw, err := os.ReadFile(filepath.Join(b.dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ PID int }
	if err := json.Unmarshal(raw, &state); err != nil || state.PID == 0 {
		t.Fatalf("%s: %v", raw, err)
	}
	b.pid = state.PID
	return b
}

// result is what a command printed, and its exit code.
type result struct {
	out, errs string
	code      int
}

func (r result) String() string { return fmt.Sprintf("code %d\n%s%s", r.code, r.out, r.errs) }

// docker runs the docker command.
func (b *box) docker(args ...string) result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Env = []string{"DOCKER_HOST=unix://" + filepath.Join(b.dir, "docker.sock"), "HOME=" + b.t.TempDir()}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Errorf("docker %q: %v", args, err)
	}
	return result{strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()}
}

// must runs the docker command, which has to succeed.
func (b *box) must(args ...string) string {
	b.t.Helper()
	r := b.docker(args...)
	if r.code != 0 {
		b.t.Fatalf("docker %q: %v", args, r)
	}
	return r.out
}

// eventually waits until the docker command prints what is wanted.
func (b *box) eventually(want string, args ...string) {
	b.t.Helper()
	var got string
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if got = b.docker(args...).out; got == want {
			return
		}
	}
	b.t.Errorf("docker %q prints %q, want %q", args, got, want)
}

// holdings are what the first process of the sandbox holds of the kernel, and what stands on its tmpfs and disk.
func (b *box) holdings() map[string]int {
	b.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(b.pid))
	count := func(pattern string) int {
		found, err := filepath.Glob(pattern)
		if err != nil {
			b.t.Fatal(err)
		}
		return len(found)
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		b.t.Fatal(err)
	}
	root := filepath.Join(proc, "root")
	return map[string]int{
		"mounts": bytes.Count(mounts, []byte("\n")), "descriptors": count(proc + "/fd/*"), "runc": count(root + "/run/runc/*"),
		"bundles": count(root + "/run/docker/*/*"), "records": count(root + "/disk/docker/containers/*"),
		"groups": count(root+"/sys/fs/cgroup/*/payload/*/") + count(root+"/sys/fs/cgroup/payload/*/"),
	}
}

// settled waits until there is no more held than before.
func (b *box) settled(before map[string]int) {
	b.t.Helper()
	var now map[string]int
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		now = b.holdings()
		if !slices.ContainsFunc(slices.Collect(maps.Keys(now)), func(what string) bool { return now[what] > before[what] }) {
			return
		}
	}
	b.t.Errorf("holds %v, before %v", now, before)
}
