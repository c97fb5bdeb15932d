package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/creack/pty"
)

const barePrompt = "ready> "

// bareShell is the floor of an echo: the same shell on a PTY of the host, read and written by this program itself. What it
// loses beside a neighbour the kernel's terminals and scheduler lose, not Berth.
type bareShell struct {
	cmd *exec.Cmd
	tty *os.File
}

func newBareShell(ctx context.Context) (*bareShell, error) {
	s := &bareShell{cmd: exec.CommandContext(ctx, "bash", "--norc")}
	s.cmd.Env = append(os.Environ(), "PS1="+barePrompt, "TERM=dumb")
	err := onOneCPU(func() (err error) {
		s.tty, err = pty.Start(s.cmd)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, s.settle()
}

// settle reads until the prompt is there, which is the last thing that a shell shows before it waits.
func (s *bareShell) settle() error {
	buf, shown := make([]byte, 4<<10), []byte(nil)
	for !bytes.Contains(shown, []byte(barePrompt)) {
		n, err := s.tty.Read(buf)
		if err != nil {
			return err
		}
		shown = append(shown, buf[:n]...)
	}
	return nil
}

func (s *bareShell) stroke(_ context.Context, key byte) error {
	if _, err := s.tty.Write([]byte{key}); err != nil {
		return err
	}
	_, err := s.tty.Read(make([]byte, 4<<10))
	return err
}

func (s *bareShell) close() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed
	return errors.Join(err, s.tty.Close())
}
