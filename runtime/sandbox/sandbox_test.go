package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/sandbox"
	"berth/runtime/sandbox/sandboxtest"
	"berth/sessions"
	"berth/sessions/sessionstest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// TestConformance runs the suite that every launcher passes.
func TestConformance(t *testing.T) {
	sessionstest.RunLauncher(t, func(t *testing.T) sessionstest.Subject {
		h := sandboxtest.New(t)
		return sessionstest.Subject{
			Launcher: h.Launcher(t),
			Spec:     sandboxtest.Spec(),
			Reopen:   func(t *testing.T) sessions.Launcher { return h.Launcher(t) },
			Kill:     func(t *testing.T, id sessions.ID) { kill(t, pidOf(t, h, id)) },
			Remnants: h.Remnants,
		}
	})
}

// TestFailedLaunchLeavesNothing stops a launch before each of its steps, and once in the last one.
func TestFailedLaunchLeavesNothing(t *testing.T) {
	h := sandboxtest.New(t)
	var steps []string
	h.Config.Trace = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	box := launch(t, h.Launcher(t), sandboxtest.Spec())
	if err := box.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(steps) < 10 {
		t.Fatalf("only %d steps were traced: %v", len(steps), steps)
	}
	for _, failing := range steps {
		t.Run(failing, func(t *testing.T) {
			boom := errors.New("injected")
			h.Config.Trace = func(step string) error {
				if step == failing {
					return boom
				}
				return nil
			}
			_, err := h.Launcher(t).Launch(t.Context(), sessions.NewID(), sandboxtest.Spec())
			if !errors.Is(err, boom) {
				t.Fatalf("Launch = %v, want the injected error", err)
			}
			if left := h.Remnants(t); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestKilledLauncherIsSwept: what a server leaves that is killed in the middle of a launch is found by the next one.
func TestKilledLauncherIsSwept(t *testing.T) {
	h := sandboxtest.New(t)
	for _, step := range []string{"directories", "link", "disk", "cgroup", "mounts", "socket", "process", "network", "state", "ready"} {
		t.Run(step, func(t *testing.T) {
			h.LaunchAndDie(t, step)
			if len(h.Remnants(t)) == 0 {
				t.Error("nothing was left: the test tests nothing")
			}
			removed, err := h.Launcher(t).Sweep(t.Context(), nil)
			if err != nil || len(removed) != 1 {
				t.Errorf("Sweep = %v, %v; want one sandbox", removed, err)
			}
			if left := h.Remnants(t); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestRunDirectoryMustBePassable: a sandbox finds its mounts below the run directory, as a user like any other.
func TestRunDirectoryMustBePassable(t *testing.T) {
	h := sandboxtest.New(t)
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	h.Config.RunDir = filepath.Join(closed, "run")
	l, err := sandbox.New(t.Context(), h.Config)
	if err == nil {
		t.Fatal(errors.Join(errors.New("a run directory that sandboxes cannot reach was taken"), l.Close()))
	}
	if !strings.Contains(err.Error(), "chmod") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	h.Config.RunDir = filepath.Join("/run", "berth-"+h.Instance) // for the cleanup
}

// TestRootCannotChangeTheCache is the reason for docs/adr/0002: root of the sandbox tries to write to the shared layers.
func TestRootCannotChangeTheCache(t *testing.T) {
	h := sandboxtest.New(t)
	id := sessions.NewID()
	box, err := h.Launcher(t).Launch(t.Context(), id, sandboxtest.Spec())
	if err != nil {
		t.Fatal(err)
	}
	defer closeBox(t, box)
	const busybox = "/run/workspace/rootfs/bin/busybox"
	script := `cd /layers/* || exit 9
mount -o remount,bind,rw /layers; touch canary
mkdir -p /tmp/m; mount --bind /layers /tmp/m; mount -o remount,bind,rw /tmp/m; touch /tmp/m/*/canary
mount -o remount,bind,rw /programs; touch /programs/canary
mount -o remount,bind,dev /disk && echo DEV
mknod /disk/block b 7 0 && echo BLOCK
ls -d /layers/*/canary /programs/canary 2>/dev/null; echo done`
	out, err := exec.Command("nsenter", "-t", strconv.Itoa(pidOf(t, h, id)), "-U", "-m", "-S", "0", "-G", "0", "--",
		busybox, "sh", "-c", "export PATH=/run/workspace/rootfs/bin\n"+script).Output()
	if err != nil || string(out) != "done\n" {
		t.Errorf("root of the sandbox got %q, %v; want only \"done\"", out, err)
	}
}

// TestKernelSurface lists system calls and what a privileged process of a sandbox gets for them.
func TestKernelSurface(t *testing.T) {
	h := sandboxtest.New(t)
	box := launch(t, h.Launcher(t), sandboxtest.Spec())
	defer closeBox(t, box)
	a := run(t, box, "unshare -U true; unshare -m true && echo mounts; cat /proc/self/status | grep Seccomp:")
	if !strings.Contains(a.Stdout, "mounts\n") || !strings.Contains(a.Stdout, "Seccomp:\t2") || !strings.Contains(a.Stderr, "unshare") {
		t.Errorf("got %+v; want nested user namespaces refused, mount namespaces allowed, a filter in force", a)
	}
}

// TestMachine looks around as a visitor would.
func TestMachine(t *testing.T) {
	h := sandboxtest.New(t)
	box := launch(t, h.Launcher(t), sandboxtest.Spec())
	defer closeBox(t, box)
	for _, test := range []struct{ command, want string }{
		{"id -u", "0"},
		{"nproc", "1"},
		{"hostname", "busybox"},
		{"cat /proc/1/comm", "docker-init"},
		{"ls /proc | grep -c '^[0-9]*$'", "8"},
		{"echo $PATH | tr : '\\n' | head -n 1", "/usr/local/sbin"},
		{"pwd", "/root"},
		{"mkdir /m && mount -t tmpfs x /m && touch /m/y && ls /m", "y"},
		{"chown 1000:1000 /tmp && stat -c %u:%g /tmp", "1000:1000"},
		{"df -P / | awk 'NR==2{print ($2 < 262144)}'", "1"},
		{"cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -n 1 | wc -l", "1"},
	} {
		t.Run(test.command, func(t *testing.T) {
			a := run(t, box, test.command)
			if got := strings.TrimSpace(a.Stdout); test.command[:2] == "ls" && test.want == "8" {
				if n, err := strconv.Atoi(got); err != nil || n > 8 { // init, the waiting shell and this pipe
					t.Errorf("%s processes are visible, want only the workspace's", got)
				}
			} else if got != test.want {
				t.Errorf("got %q (stderr %q), want %q", got, a.Stderr, test.want)
			}
		})
	}
}

// TestLimitsHold lets a visitor's programs try to take more than the sandbox may hold.
func TestLimitsHold(t *testing.T) {
	h := sandboxtest.New(t)
	spec := sandboxtest.Spec()
	spec.Limits.DiskBytes, spec.Limits.DiskInodes, spec.Limits.MemoryBytes = 64<<20, 4096, 96<<20
	box := launch(t, h.Launcher(t), spec)
	defer closeBox(t, box)
	if a := run(t, box, "tail /dev/zero"); a.ExitCode != 137 {
		t.Errorf("memory: %+v, want the program killed", a)
	}
	if a := run(t, box, "dd if=/dev/zero of=/fill bs=1M"); !strings.Contains(a.Stderr, "No space left") {
		t.Errorf("disk: %+v", a)
	}
	if a := run(t, box, "rm /fill; mkdir /many; i=0; while touch /many/$i 2>/dev/null; do i=$((i+1)); [ $i -lt 9999 ] || break; done; echo $i"); a.ExitCode != 0 || strings.HasPrefix(a.Stdout, "9999") {
		t.Errorf("inodes: %+v", a)
	}
	if a := run(t, box, "rm -r /many; i=0; while [ $i -lt 600 ]; do sleep 30 >/dev/null 2>&1 & i=$((i+1)); done"); !strings.Contains(a.Stderr, "fork") {
		t.Errorf("pids: %+v", a)
	}
	usage, err := box.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if usage.OOMKills == 0 || usage.PIDsRefused == 0 {
		t.Errorf("usage does not tell what happened: %+v", usage)
	}
	if usage.OOMVictim != "tail" && readable("/dev/kmsg") {
		t.Errorf("victim = %q, want tail", usage.OOMVictim)
	}
}

// TestCyclesLeaveNothing: every end gives all back, and holds no descriptor of ours.
func TestCyclesLeaveNothing(t *testing.T) {
	cycles := 30
	if testing.Short() {
		cycles = 3
	}
	h := sandboxtest.New(t)
	l := h.Launcher(t)
	before := 0
	for i := range cycles {
		box := launch(t, l, sandboxtest.Spec())
		closeBox(t, box)
		if i == 1 { // what is made once is made
			before = descriptors(t)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors after %d cycles, %d after 2", after, cycles, before)
	}
	if left := h.Remnants(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func launch(t *testing.T, l sessions.Launcher, spec sessions.Spec) sessions.Sandbox {
	t.Helper()
	box, err := l.Launch(t.Context(), sessions.NewID(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func closeBox(t *testing.T, box sessions.Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := box.Close(ctx); err != nil {
		t.Error(err)
	}
}

type answer struct {
	ExitCode int    `json:"exit_code"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
}

// run runs a shell command in the workspace.
func run(t *testing.T, box sessions.Sandbox, command string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"cmd": []string{"/bin/sh", "-c", command}})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return box.Dial(ctx) }}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post("http://sandbox/v1/exec", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", command, resp.Status, err)
	}
	return a
}

// pidOf reads a sandbox's first process from its state.
func pidOf(t *testing.T, h *sandboxtest.Host, id sessions.ID) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Config.RunDir, string(id), "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ PID int }
	if err := json.Unmarshal(b, &state); err != nil || state.PID < 2 {
		t.Fatalf("state %s: %v", b, err)
	}
	return state.PID
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(fmt.Errorf("kill %d: %w", pid, err))
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
