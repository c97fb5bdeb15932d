package terminal

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is how a process ended. After a signal, Code is 128 plus its number, as a shell shows it.
type Exit struct {
	Code   int    `json:"code"`
	Signal string `json:"signal"` // e.g. "SIGKILL"; empty when the process exited by itself
}

// Process is a program on a PTY, its session leader.
type Process interface {
	// PTY is the master side. It is the Terminal's to close.
	PTY() *os.File
	// Wait returns when the program has ended. It is called once.
	Wait() Exit
	// Signal sends a signal to the program; one that has ended is no error worth telling.
	Signal(sig unix.Signal) error
}

// Start runs the program of the terminal with this name, on a PTY that has this size already. ctx ends with the
// terminal; the process is ended by Signal, not by ctx.
type Start func(ctx context.Context, name string, size Size) (Process, error)

// pollable returns a duplicate of f, which it closes, such that reads and writes can be interrupted by Close and by
// deadlines. f may be blocking: received over a socket, or made so by os.File.Fd.
func pollable(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	dup := -1
	err := control(f, func(fd int) error {
		var err error
		if dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.SetNonblock(dup, true)
	})
	if err != nil {
		if dup >= 0 {
			_ = unix.Close(dup)
		}
		return nil, fmt.Errorf("make pty pollable: %w", err)
	}
	pty := os.NewFile(uintptr(dup), f.Name())
	if err := pty.SetReadDeadline(time.Time{}); err != nil {
		_ = pty.Close()
		return nil, fmt.Errorf("make pty pollable: %w", err)
	}
	return pty, nil
}

// SetSize tells the kernel, and so the program (SIGWINCH), the size of the PTY whose master or slave f is: ioctl_tty(2).
func SetSize(f *os.File, size Size) error {
	ws := unix.Winsize{Row: uint16(size.Rows), Col: uint16(size.Cols)} // both at most MaxDimension
	if err := control(f, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &ws) }); err != nil {
		return fmt.Errorf("set terminal size: %w", err)
	}
	return nil
}

// control runs fn with f's descriptor. Unlike f.Fd it leaves a non-blocking file as it is.
func control(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}
