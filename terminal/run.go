package terminal

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// supervise owns the terminal's programs, one after the other.
func (t *Terminal) supervise(ctx context.Context) {
	for first := true; ; first = false {
		err := t.run(ctx, first)
		if err != nil {
			t.options.Logger.Error("start terminal", "terminal", t.name, "error", err)
		}
		if first && err != nil {
			return // settled holds the error; nobody has seen this terminal
		}
		select {
		case <-t.again:
		case <-ctx.Done():
			return
		}
	}
}

// run starts one program and follows it to its end. The error is of the start.
func (t *Terminal) run(ctx context.Context, first bool) error {
	t.mu.Lock()
	size := t.size
	t.mu.Unlock()
	p, err := t.start(ctx, t.name, size)
	var pty *os.File
	if err == nil {
		if pty, err = pollable(p.PTY()); err != nil {
			_ = p.Signal(unix.SIGKILL)
			p.Wait()
		}
	}
	if err != nil {
		err = fmt.Errorf("start the program of terminal %s: %w", t.name, err)
		t.notStarted(err)
	} else {
		t.begun(pty, size, first)
	}
	if first {
		t.startErr = err
		close(t.settled)
	}
	if err == nil {
		t.follow(ctx, p, pty)
	}
	return err
}

// notStarted goes back to exited and tells why.
func (t *Terminal) notStarted(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = exited
	text := err.Error()
	for v := range t.viewers {
		v.tell(Status{Type: Failed, Message: text[:min(len(text), maxErrorText)]})
	}
}

func (t *Terminal) begun(pty *os.File, size Size, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.pty, t.started = running, pty, size
	t.title = titleScanner{}
	if err := t.applySize(); err != nil { // somebody resized while it started
		t.options.Logger.Warn("resize terminal", "terminal", t.name, "error", err)
	}
	if !first {
		for v := range t.viewers {
			v.tell(Status{Type: Started})
		}
	}
	t.feed()
}

// follow copies output until the program has ended and all it wrote is in the ring, or ctx ends, which ends it.
func (t *Terminal) follow(ctx context.Context, p Process, pty *os.File) {
	ended := make(chan struct{})
	var exit Exit
	t.work.Add(1)
	go func() {
		defer t.work.Done()
		exit = p.Wait()
		close(ended)
		_ = pty.SetReadDeadline(now().Add(drainIdle))
	}()
	interrupt := context.AfterFunc(ctx, func() { _ = pty.Close() }) // the kernel hangs the session up: SIGHUP
	t.pump(ctx, pty, ended)
	select {
	case <-ended:
	case <-ctx.Done():
		t.end(p, ended)
	}
	interrupt()
	t.finished(pty, exit)
}

// finished leaves the state running, when nobody uses the PTY any more.
func (t *Terminal) finished(pty *os.File, exit Exit) {
	_ = pty.Close()
	t.mu.Lock()
	t.pty = nil // from now on input waits
	writer := t.writer
	t.mu.Unlock()
	if writer != nil {
		<-writer // it must not take what is typed to the next program
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.exit = exited, exit
	t.feed()
	for v := range t.viewers {
		v.tell(exitStatus(exit))
	}
}

func exitStatus(e Exit) Status { return Status{Type: Exited, Code: e.Code, Signal: e.Signal} }

// end makes the program end.
func (t *Terminal) end(p Process, ended <-chan struct{}) {
	_ = p.Signal(unix.SIGHUP)
	grace := time.NewTimer(t.options.Grace)
	defer grace.Stop()
	select {
	case <-ended:
		return
	case <-grace.C:
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.options.Logger.Warn("kill the program of a terminal", "terminal", t.name, "error", err)
	}
	<-ended
}
