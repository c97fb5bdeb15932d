package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what is waited for; all of it takes milliseconds.
const patience = 20 * time.Second

var program string //nolint:gochecknoglobals // the program under test, built once

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "docker-init")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "docker-init")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// initProcess is a running docker-init whose output can be read.
type initProcess struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr string // the file that standard error goes to
	ended  chan error
}

// start runs docker-init with arguments, in the namespaces of flags (clone(2)).
func start(t *testing.T, flags uintptr, args ...string) *initProcess {
	t.Helper()
	p := &initProcess{Cmd: exec.Command(program, args...), stderr: filepath.Join(t.TempDir(), "stderr"), ended: make(chan error, 1)}
	p.SysProcAttr = &unix.SysProcAttr{Cloneflags: flags, Pdeathsig: unix.SIGKILL}
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr, p.out = theirs, stderr, bufio.NewReader(out)
	p.launch(t)
	if err := errors.Join(theirs.Close(), stderr.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return p
}

// launch starts the process; it is over when the test is.
func (p *initProcess) launch(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.ended <- p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // if the test has failed
		<-over
	})
}

// exit waits for the end and returns the exit status; -1 if a signal ended docker-init itself.
func (p *initProcess) exit(t *testing.T) int {
	t.Helper()
	select {
	case err := <-p.ended:
		if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatalf("docker-init does not end; it wrote %q", p.said(t))
	}
	return p.ProcessState.ExitCode()
}

func (p *initProcess) signal(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// said returns what was written to standard error.
func (p *initProcess) said(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// line reads the next line of the output.
func (p *initProcess) line(t *testing.T) string {
	t.Helper()
	read := make(chan string, 1)
	go func() {
		s, err := p.out.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			s = err.Error()
		}
		read <- strings.TrimSpace(s)
	}()
	select {
	case s := <-read:
		return s
	case <-time.After(patience):
		t.Fatalf("no output; on standard error: %q", p.said(t))
		return ""
	}
}

// until polls for something of the kernel's that cannot be waited for.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !done(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// status returns a field of proc_pid_status(5); empty when the process is gone.
func status(pid int, field string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ignores reports whether a process ignores a signal.
func ignores(t *testing.T, set string, s unix.Signal) bool {
	t.Helper()
	if set == "" {
		return false
	}
	mask, err := strconv.ParseUint(set, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(s-1)) != 0
}

// listening waits until docker-init takes its signals: it ignores SIGTTOU only then.
func (p *initProcess) listening(t *testing.T) {
	t.Helper()
	until(t, "docker-init takes signals", func() bool { return ignores(t, status(p.Process.Pid, "SigIgn"), unix.SIGTTOU) })
}
