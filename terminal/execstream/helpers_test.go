package execstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"berth/terminal"
	"berth/terminal/execstream"
)

const patience = 20 * time.Second

// program is a real process on pipes or a PTY.
type program struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out, err *os.File
	tty      bool
}

func (p *program) Input() io.WriteCloser { return p.in }
func (p *program) Output() io.ReadCloser { return p.out }

func (p *program) Errors() io.ReadCloser {
	if p.err == nil {
		return nil
	}
	return p.err
}

func (p *program) Resize(size terminal.Size) error {
	if !p.tty {
		return nil
	}
	return terminal.SetSize(p.out, size)
}

func (p *program) Signal(sig unix.Signal) error {
	if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// runner starts real processes and counts those that were not waited for.
type runner struct {
	running atomic.Int64
}

type counted struct {
	*program
	r *runner
}

func (c *counted) Wait() terminal.Exit {
	defer c.r.running.Add(-1)
	state, _ := c.cmd.Process.Wait()
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return terminal.Exit{Code: 128 + int(status.Signal()), Signal: unix.SignalName(status.Signal())}
	}
	return terminal.Exit{Code: status.ExitStatus()}
}

func (r *runner) start(_ context.Context, req execstream.Request) (execstream.Process, error) {
	cmd := exec.Command(req.Cmd[0], req.Cmd[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), req.Env...), req.Workdir
	p := &program{cmd: cmd, tty: req.TTY}
	var err error
	if req.TTY {
		err = p.startTTY(req.Size)
	} else {
		err = p.startPipes()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, &execstream.StartError{Code: 127, Err: err}
	}
	if err != nil {
		return nil, err
	}
	r.running.Add(1)
	return &counted{p, r}, nil
}

func (p *program) startTTY(size terminal.Size) error {
	master, err := pty.StartWithSize(p.cmd, &pty.Winsize{Cols: uint16(size.Cols), Rows: uint16(size.Rows)})
	if err == nil {
		_ = unix.SetNonblock(int(master.Fd()), true) // so that Close interrupts Read
		p.out, p.in = master, master
	}
	return err
}

func (p *program) startPipes() error {
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, errW
	err := p.cmd.Start()
	for _, f := range []*os.File{inR, outW, errW} {
		_ = f.Close()
	}
	if err != nil {
		for _, f := range []*os.File{inW, outR, errR} {
			_ = f.Close()
		}
		return err
	}
	p.in, p.out, p.err = inW, outR, errR
	return nil
}

func serve(t testing.TB) (*runner, *execstream.Handler, string) {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	r := &runner{}
	h := execstream.NewHandler(context.Background(), r.start, nil)
	mux := http.NewServeMux()
	h.Routes(mux, "/v1")
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		eventually(t, func() error {
			if n := runtime.NumGoroutine(); n > goroutines {
				buf := make([]byte, 1<<20)
				return errors.New("goroutines left:\n" + string(buf[:runtime.Stack(buf, true)]))
			}
			return nil
		})
		if n := r.running.Load(); n != 0 {
			t.Errorf("%d processes left", n)
		}
	})
	return r, h, server.URL + "/v1/exec"
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}
