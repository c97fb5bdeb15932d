package terminaltest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"berth/terminal"
	"berth/terminal/execstream"
)

// Runner starts programs of this machine for exec streams and counts those that run.
type Runner struct{ running atomic.Int64 }

// Running is how many processes were started and have not been waited for.
func (r *Runner) Running() int { return int(r.running.Load()) }

// Start is an execstream.Start. The user is ignored.
func (r *Runner) Start(_ context.Context, req execstream.Request) (execstream.Process, error) {
	cmd := exec.Command(req.Cmd[0], req.Cmd[1:]...) //nolint:noctx // a test's own; the Handler ends it
	cmd.Env, cmd.Dir = append(os.Environ(), req.Env...), req.Workdir
	p := &program{cmd: cmd, runner: r}
	start := p.onPipes
	if req.TTY {
		start = func() error { return p.onPTY(req.Size) }
	}
	err := start()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, &execstream.StartError{Code: 127, Err: err}
	}
	if err != nil {
		return nil, err
	}
	r.running.Add(1)
	return p, nil
}

// program is a process on pipes or a PTY.
type program struct {
	cmd           *exec.Cmd
	runner        *Runner
	in, out, errs *os.File
	hasPTY        bool
}

func (p *program) Input() io.WriteCloser        { return p.in }
func (p *program) Output() io.ReadCloser        { return p.out }
func (p *program) Signal(sig unix.Signal) error { return signal(p.cmd, sig) }

func (p *program) Errors() io.ReadCloser {
	if p.errs == nil {
		return nil
	}
	return p.errs
}

func (p *program) Resize(size terminal.Size) error {
	if !p.hasPTY {
		return nil
	}
	return terminal.SetSize(p.out, size)
}

func (p *program) Wait() terminal.Exit {
	defer p.runner.running.Add(-1)
	return wait(p.cmd)
}

func (p *program) onPTY(size terminal.Size) error {
	master, err := pty.StartWithSize(p.cmd, winsize(size))
	if err == nil {
		_ = unix.SetNonblock(int(master.Fd()), true) // Fd made it blocking: Close would not interrupt Read
		p.out, p.in, p.hasPTY = master, master, true
	}
	return err
}

func (p *program) onPipes() error {
	var files [6]*os.File // each pair: to read, to write
	for i := 0; i < len(files); i += 2 {
		var err error
		if files[i], files[i+1], err = os.Pipe(); err != nil { //nolint:gosec // i is even, and so is the length
			return errors.Join(err, closeAll(files[:i]...))
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = files[0], files[3], files[5]
	p.in, p.out, p.errs = files[1], files[2], files[4]
	err := p.cmd.Start()
	_ = closeAll(files[0], files[3], files[5])
	if err != nil {
		_ = closeAll(p.in, p.out, p.errs)
	}
	return err
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
