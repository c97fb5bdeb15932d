package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestForwardsSignals(t *testing.T) {
	p := start(t, 0, "sh", "-c", `
		trap 'echo usr1' USR1
		trap 'echo hup' HUP
		trap 'echo term; exit 7' TERM
		echo ready
		while :; do read x </dev/null; done`)
	p.lines(t, "ready")
	p.signal(t, unix.SIGUSR1)
	p.lines(t, "usr1")
	p.signal(t, unix.SIGHUP)
	p.lines(t, "hup")
	p.signal(t, unix.SIGTERM)
	p.lines(t, "term")
	if code := p.exit(t); code != 7 {
		t.Errorf("exit status %d", code)
	}
}

func (p *initProcess) lines(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := p.line(t); got != w {
			t.Fatalf("%q where %q was due; standard error %q", got, w, p.said(t))
		}
	}
}

// TestFloodOfSignals ends the program while signals of every kind pour in: docker-init must still learn of the end. SIGCHLD
// shared a channel of 32 with the others, and was dropped when that was full.
func TestFloodOfSignals(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1") // docker-init's: the channel fills up soon
	for range 10 {
		p := start(t, 0, "sh", "-c", "trap '' "+floodTraps()+"; echo ready; exec sleep 1000")
		p.lines(t, "ready")
		program := p.child(t)
		stop, pouring := make(chan struct{}), make(chan struct{})
		var senders sync.WaitGroup
		for range 2 {
			senders.Go(func() { pour(p.Process.Pid, pouring, stop) })
		}
		<-pouring
		err := unix.Kill(program, unix.SIGKILL)
		until(t, "the program ends", func() bool { s := status(program, "State"); return s == "" || s[0] == 'Z' })
		close(stop)
		senders.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if code := p.exit(t); code != 128+int(unix.SIGKILL) {
			t.Fatalf("exit status %d", code)
		}
	}
}

// pour sends signals as fast as it can, and says so on pouring when many are sent.
func pour(pid int, pouring chan<- struct{}, stop <-chan struct{}) {
	for round := 0; ; round++ {
		for _, s := range flood() {
			_ = unix.Kill(pid, s) // its queue is full, or it has ended: both are fine
		}
		if round < 20 {
			continue
		}
		select {
		case pouring <- struct{}{}:
		case <-stop:
			return
		default:
		}
	}
}

// flood is signals that neither stop nor kill docker-init, nor are the Go runtime's own.
func flood() []unix.Signal {
	signals := []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGIO}
	for s := unix.Signal(36); s <= 64; s++ { // of real time; glibc keeps those below
		signals = append(signals, s)
	}
	return signals
}

func floodTraps() string {
	var names []string
	for _, s := range flood() {
		names = append(names, fmt.Sprint(int(s)))
	}
	return strings.Join(names, " ")
}

// child returns the PID of docker-init's one child.
func (p *initProcess) child(t *testing.T) int {
	t.Helper()
	all := p.children(t)
	if len(all) != 1 {
		t.Fatalf("docker-init has children %v, not one", all)
	}
	return all[0]
}

// children returns the PIDs of its children, dead ones too.
func (p *initProcess) children(t *testing.T) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // a thread has ended
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}
