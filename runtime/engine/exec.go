package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/api"
	"berth/runtime/engine/files"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/terminal"
)

// Exit codes for a command that could not be started, as docker run(1) and shells give them.
const (
	codeCannotRun = 126
	codeNotFound  = 127
)

// Exec starts a command in the workspace.
func (w *workspace) Exec(ctx context.Context, cmd api.Command) (*api.Process, error) {
	spec, err := w.process(cmd)
	if err != nil {
		return nil, err
	}
	if cmd.TTY {
		p, master, err := w.runtime.ExecTTY(ctx, workspaceID, spec)
		if err != nil {
			return nil, startError(cmd, err)
		}
		return apiProcess(p, &api.Process{TTY: master}), nil
	}
	ours, theirs, err := pipes()
	if err != nil {
		return nil, err
	}
	p, err := w.runtime.Exec(ctx, workspaceID, spec, theirs)
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, startError(cmd, err)
	}
	return apiProcess(p, &api.Process{Stdin: ours[0], Stdout: ours[1], Stderr: ours[2]}), nil
}

// Files returns the workspace's files as its processes see them.
func (w *workspace) Files() *files.Tree { return w.files() }

func apiProcess(p *process.Process, a *api.Process) *api.Process {
	a.Signal = p.Signal
	a.Wait = func(ctx context.Context) (int, error) {
		status, err := p.Wait(ctx)
		return status.Code, err
	}
	return a
}

// startError tells a command that is not there or cannot be run from a fault of ours.
func startError(cmd api.Command, err error) error {
	var failed *oci.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch m := failed.Message; {
	case strings.Contains(m, "executable file not found"), strings.Contains(m, "no such file or directory"):
		return &api.StartError{Code: codeNotFound, Message: fmt.Sprintf("%s: not found in the workspace", cmd.Cmd[0])}
	case strings.Contains(m, "permission denied"), strings.Contains(m, "exec format error"), strings.Contains(m, "is a directory"):
		return &api.StartError{Code: codeCannotRun, Message: fmt.Sprintf("%s: cannot be run: %s", cmd.Cmd[0], m)}
	}
	return err
}

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

// startTerminal starts a shell on a terminal of its own.
func (w *workspace) startTerminal(ctx context.Context, _ string, size terminal.Size) (terminal.Process, error) {
	spec, err := w.process(api.Command{Cmd: w.shell(), TTY: true, Cols: uint16(size.Cols), Rows: uint16(size.Rows)}) //nolint:gosec // validated: at most 1000
	if err != nil {
		return nil, err
	}
	p, master, err := w.runtime.ExecTTY(ctx, workspaceID, spec)
	if err != nil {
		return nil, err
	}
	return &terminalProcess{p, master}, nil
}

// terminalProcess is a process on a terminal, as package terminal wants it.
type terminalProcess struct {
	process *process.Process
	master  *os.File
}

func (t *terminalProcess) PTY() *os.File { return t.master }

func (t *terminalProcess) Wait() terminal.Exit {
	<-t.process.Done()
	status := t.process.Status()
	exit := terminal.Exit{Code: status.Code}
	if status.Signal != 0 {
		exit.Signal = unix.SignalName(status.Signal)
	}
	return exit
}

// Signal reaches the whole process group of the terminal's process.
func (t *terminalProcess) Signal(sig unix.Signal) error {
	return errors.Join(t.process.Signal(sig), unix.Kill(-t.process.PID, sig))
}
