package stdio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"berth/runtime/engine/stdio"
)

// patience bounds what must happen soon.
const patience = 20 * time.Second

// soon fails the test when what is waited for does not come.
func soon(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: not within %v\n%s", what, patience, buf[:runtime.Stack(buf, true)])
	}
}

// buffer is a client's end that may be looked at meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// stalled is a client's end that takes nothing until it is released.
type stalled struct {
	buffer
	begun   chan struct{}
	release chan struct{}
	once    sync.Once
}

func newStalled() *stalled {
	return &stalled{begun: make(chan struct{}), release: make(chan struct{})}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.begun) })
	<-s.release
	return s.buffer.Write(p)
}

// broken is a client's end that is gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// attachment is an Attach in the background.
type attachment struct {
	done chan struct{}
	err  error
}

// attach returns when the client will miss nothing more.
func attach(ctx context.Context, t *testing.T, h *stdio.Hub, a stdio.AttachOptions) *attachment {
	t.Helper()
	at := &attachment{done: make(chan struct{})}
	ready := make(chan struct{})
	a.Ready = func() { close(ready) }
	go func() {
		defer close(at.done)
		at.err = h.Attach(ctx, a)
	}()
	soon(t, "attach", ready)
	return at
}

// wait returns what Attach did.
func (a *attachment) wait(t *testing.T) error {
	t.Helper()
	soon(t, "the end of an attach", a.done)
	return a.err
}

// pipes are a process's ends of its pipes.
type pipes struct {
	stdin          *os.File
	stdout, stderr *os.File
}

// newPipes returns the ends of a process, and those of its hub.
func newPipes(t testing.TB) (pipes, stdio.Streams) {
	t.Helper()
	var r, w [3]*os.File
	for i := range r {
		var err error
		if r[i], w[i], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{r[0], w[1], w[2]} {
			_ = f.Close() // by the test already
		}
	})
	return pipes{r[0], w[1], w[2]}, stdio.Streams{Stdin: w[0], Stdout: r[1], Stderr: r[2]}
}

func (p pipes) close() {
	_, _, _ = p.stdin.Close(), p.stdout.Close(), p.stderr.Close()
}

// program is a running command with a hub.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start runs a command on a hub, and drains the hub when it has ended.
func start(t testing.TB, h *stdio.Hub, log *stdio.LogWriter, name string, args ...string) *program {
	t.Helper()
	theirs, ours := newPipes(t)
	ours.Log = log
	p := &program{exec.Command(name, args...), make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs.stdin, theirs.stdout, theirs.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.close()
	if err := h.Start(ours); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its exit code is its own
		h.Drain(context.Background())
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, or is to
		<-p.ended
	})
	return p
}

// openLog opens a log in a directory of its own.
func openLog(t testing.TB, c stdio.LogConfig) (dir string, w *stdio.LogWriter) {
	t.Helper()
	dir = t.TempDir()
	w, err := stdio.OpenLog(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return dir, w
}

// everything asks for a whole log.
func everything() stdio.LogOptions {
	return stdio.LogOptions{Stdout: true, Stderr: true, Tail: stdio.All}
}

// readLog returns the text of a log.
func readLog(t testing.TB, dir string, o stdio.LogOptions) string {
	t.Helper()
	var b bytes.Buffer
	err := stdio.ReadLog(t.Context(), dir, o, func(l stdio.LogLine) error {
		_, err := b.Write(l.Line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
