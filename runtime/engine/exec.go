package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/build/watch"
	"berth/runtime/engine/files"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/terminal"
	"berth/terminal/execstream"
)

// Exit codes for a command that could not be started, as docker-run(1) and shells give them.
const (
	codeCannotRun = 126
	codeNotFound  = 127
)

// Files returns the workspace's files as its processes see them.
func (w *workspace) Files() *files.Tree { return w.files() }

// startTerminal starts a shell on a terminal of its own. The names of terminals in steps of builds are not for it: who comes
// back to one that has gone must not find himself in the workspace.
func (w *workspace) startTerminal(ctx context.Context, name string, size terminal.Size) (terminal.Process, error) {
	if strings.HasPrefix(name, watch.NamePrefix) {
		return nil, errors.New("this terminal in a step of a build has ended: open it again from the build")
	}
	p, err := w.startTTY(ctx, execstream.Request{Cmd: w.shell(), TTY: true, Size: size})
	if err != nil { // not a nil *ttyProcess in an interface
		return nil, err
	}
	return p, nil
}

// exec starts a command in the workspace.
func (w *workspace) exec(ctx context.Context, r execstream.Request) (execstream.Process, error) {
	if r.TTY {
		p, err := w.startTTY(ctx, r)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	spec, err := w.process(r)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := pipes()
	if err != nil {
		return nil, err
	}
	p, err := w.runtime.Exec(ctx, workspaceID, spec, theirs)
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, startError(r, err)
	}
	return &pipeProcess{started{p}, ours}, nil
}

func (w *workspace) startTTY(ctx context.Context, r execstream.Request) (*ttyProcess, error) {
	spec, err := w.process(r)
	if err != nil {
		return nil, err
	}
	p, master, err := w.runtime.ExecTTY(ctx, workspaceID, spec)
	if err != nil {
		return nil, startError(r, err)
	}
	return &ttyProcess{started{p}, master}, nil
}

// startError tells a command that is not there or cannot be run from a fault of ours.
func startError(r execstream.Request, err error) error {
	var failed *oci.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch m := failed.Message; {
	case strings.Contains(m, "executable file not found"), strings.Contains(m, "no such file or directory"):
		return &execstream.StartError{Code: codeNotFound, Err: fmt.Errorf("%s: not found in the workspace", r.Cmd[0])}
	case strings.Contains(m, "permission denied"), strings.Contains(m, "exec format error"), strings.Contains(m, "is a directory"):
		return &execstream.StartError{Code: codeCannotRun, Err: fmt.Errorf("%s: cannot be run: %s", r.Cmd[0], m)}
	}
	return err
}

// started is what every process of the workspace can.
type started struct {
	process *process.Process
}

func (s started) Wait() terminal.Exit {
	<-s.process.Done()
	status := s.process.Status()
	exit := terminal.Exit{Code: status.Code}
	if status.Signal != 0 {
		exit.Signal = unix.SignalName(status.Signal)
	}
	return exit
}

func (s started) Signal(sig unix.Signal) error { return s.process.Signal(sig) }

// pipeProcess has three pipes: our ends of its standard input, output and error.
type pipeProcess struct {
	started
	files []*os.File
}

func (p *pipeProcess) Input() io.WriteCloser      { return p.files[0] }
func (p *pipeProcess) Output() io.ReadCloser      { return p.files[1] }
func (p *pipeProcess) Errors() io.ReadCloser      { return p.files[2] }
func (p *pipeProcess) Resize(terminal.Size) error { return nil }

// ttyProcess has a terminal, and leads a session on it.
type ttyProcess struct {
	started
	master *os.File
}

func (p *ttyProcess) PTY() *os.File                { return p.master }
func (p *ttyProcess) Input() io.WriteCloser        { return p.master }
func (p *ttyProcess) Output() io.ReadCloser        { return p.master }
func (p *ttyProcess) Errors() io.ReadCloser        { return nil }
func (p *ttyProcess) Resize(s terminal.Size) error { return terminal.SetSize(p.master, s) }

// pipes makes three pipes: our ends and the process' ends of its standard input, output and error.
func pipes() (ours, theirs []*os.File, err error) {
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			closeAll(theirs)
			return nil, nil, err
		}
		if i == 0 {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	return ours, theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // pipes: nothing is buffered
	}
}
