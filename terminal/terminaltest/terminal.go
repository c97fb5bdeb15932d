package terminaltest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"berth/terminal"
)

// Process is a program of this machine on a PTY.
type Process struct {
	master *os.File
	cmd    *exec.Cmd
}

// Command returns a Start that runs a program, its prompt "$ " where it is a shell.
func Command(name string, args ...string) terminal.Start {
	return Watched(new(atomic.Int64), name, args...)
}

// Watched is Command that stores the PID of each process that it starts.
func Watched(pid *atomic.Int64, name string, args ...string) terminal.Start {
	return func(_ context.Context, _ string, size terminal.Size) (terminal.Process, error) {
		cmd := exec.Command(name, args...) //nolint:noctx // a test's own; the Terminal ends it
		cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "HISTFILE=")
		master, err := pty.StartWithSize(cmd, winsize(size))
		if err != nil {
			return nil, err
		}
		pid.Store(int64(cmd.Process.Pid))
		return &Process{master: master, cmd: cmd}, nil
	}
}

// Shell returns a Start that runs a script with sh.
func Shell(script string) terminal.Start { return Command("sh", "-c", script) }

func winsize(s terminal.Size) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(s.Cols), Rows: uint16(s.Rows)} // at most terminal.MaxDimension
}

// PTY is the master.
func (p *Process) PTY() *os.File { return p.master }

// Wait returns how the process ended.
func (p *Process) Wait() terminal.Exit { return wait(p.cmd) }

// Signal sends a signal.
func (p *Process) Signal(sig unix.Signal) error { return signal(p.cmd, sig) }

// wait leaves the streams alone, unlike exec.Cmd.Wait.
func wait(cmd *exec.Cmd) terminal.Exit {
	state, err := cmd.Process.Wait()
	if err != nil {
		return terminal.Exit{Code: -1}
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return terminal.Exit{Code: 128 + int(status.Signal()), Signal: unix.SignalName(status.Signal())}
	}
	return terminal.Exit{Code: status.ExitStatus()}
}

func signal(cmd *exec.Cmd, sig unix.Signal) error {
	if err := cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
