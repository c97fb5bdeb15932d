package process_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/process"
)

// TestMain makes this process what PID 1 of a sandbox is to orphans: their new parent (prctl(2), PR_SET_CHILD_SUBREAPER).
func TestMain(m *testing.M) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// newReaper returns a reaper that runs until the test ends.
func newReaper(t *testing.T) *process.Reaper {
	t.Helper()
	r := &process.Reaper{}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return r
}

// shell starts a script; what it writes can be read.
func shell(t *testing.T, r *process.Reaper, script string) (*process.Process, *bufio.Reader) {
	t.Helper()
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	p, err := r.Start("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Files: []*os.File{nil, theirs, os.Stderr}, Env: os.Environ()})
	if err = errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	return p, bufio.NewReader(out)
}

func wait(t *testing.T, p *process.Process) process.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := p.Wait(ctx)
	if err != nil {
		t.Fatalf("process %d: %v", p.PID, err)
	}
	return s
}

func readPID(t *testing.T, out *bufio.Reader) int {
	t.Helper()
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// reaped waits until no process of that number is left, not even a zombie.
func reaped(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d is not reaped", pid)
		}
	}
}

func TestStatus(t *testing.T) {
	r := newReaper(t)
	for _, test := range []struct {
		script string
		want   process.Status
	}{
		{"exit 0", process.Status{}},
		{"exit 7", process.Status{Code: 7}},
		{"kill -9 $$", process.Status{Code: 137, Signal: unix.SIGKILL}},
		{"kill -TERM $$", process.Status{Code: 143, Signal: unix.SIGTERM}},
	} {
		t.Run(test.script, func(t *testing.T) {
			p, _ := shell(t, r, test.script)
			if got := wait(t, p); got != test.want {
				t.Errorf("status = %+v, want %+v", got, test.want)
			}
			if err := p.Signal(unix.SIGTERM); !errors.Is(err, unix.ESRCH) {
				t.Errorf("Signal to an ended process = %v, want ESRCH", err)
			}
		})
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := newReaper(t).Start("/no/such/program", []string{"x"}, &os.ProcAttr{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want ErrNotExist", err)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	r := newReaper(t)
	p, _ := shell(t, r, "exec sleep 60")
	cause := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := p.Wait(ctx); !errors.Is(err, cause) {
		t.Errorf("Wait = %v, want the context's cause", err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if s := wait(t, p); s.Signal != unix.SIGKILL {
		t.Errorf("status = %+v", s)
	}
}

// orphan starts a process that exits with 6 when the gate is closed, and whose parent has ended.
func orphan(t *testing.T, r *process.Reaper) (pid int, gate *os.File) {
	t.Helper()
	theirs, gate, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	parent, err := r.Start("/bin/sh", []string{"sh", "-c", "(read x; exit 6) <&3 & echo $!"},
		&os.ProcAttr{Files: []*os.File{nil, in, os.Stderr, theirs}})
	if err = errors.Join(err, in.Close(), theirs.Close()); err != nil {
		t.Fatal(err)
	}
	wait(t, parent)
	return readPID(t, bufio.NewReader(out)), gate
}

// TestAdoptRunning adopts an orphan that still runs, as a container's init is when runc has returned.
func TestAdoptRunning(t *testing.T) {
	r := newReaper(t)
	since := r.Now()
	pid, gate := orphan(t, r)
	p := r.Adopt(pid, since)
	select {
	case <-p.Done():
		t.Fatal("ended before it could")
	default:
	}
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	if s := wait(t, p); s.Code != 6 {
		t.Errorf("status = %+v, want 6", s)
	}
}

// TestAdoptEnded adopts an orphan that ended before anybody claimed it.
func TestAdoptEnded(t *testing.T) {
	r := newReaper(t)
	since := r.Now()
	pid, gate := orphan(t, r)
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	reaped(t, pid)
	if s := wait(t, r.Adopt(pid, since)); s.Code != 6 {
		t.Errorf("status = %+v, want 6", s)
	}
}

// TestAdoptIgnoresEarlierHolders: an exit from before the mark belongs to an earlier process of that number.
func TestAdoptIgnoresEarlierHolders(t *testing.T) {
	r := newReaper(t)
	pid, gate := orphan(t, r)
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	reaped(t, pid)
	select {
	case <-r.Adopt(pid, r.Now()).Done():
		t.Error("an exit that was there before was taken for the new process's")
	default:
	}
}

// TestManyOrphans: exits that nobody claims do not keep others from being told.
func TestManyOrphans(t *testing.T) {
	r := newReaper(t)
	p, out := shell(t, r, "i=0; while [ $i -lt 300 ]; do (:) & i=$((i+1)); done; (exit 3) & echo $!; exit 4")
	pid := readPID(t, out)
	if s := wait(t, p); s.Code != 4 {
		t.Errorf("status = %+v, want 4", s)
	}
	reaped(t, pid)
}
