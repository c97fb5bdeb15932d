package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Stdin reads a file, such as standard input, such that Close interrupts a Read that waits. The file itself stays open
// and blocking: making it non-blocking would do so for every process that shares it.
type Stdin struct {
	file       *os.File
	wake, hold *os.File // a pipe: hold is closed to wake the reader
}

// NewStdin returns a reader of f, which stays the caller's.
func NewStdin(f *os.File) (*Stdin, error) {
	wake, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("read terminal: %w", err)
	}
	return &Stdin{file: f, wake: wake, hold: hold}, nil
}

// Read waits for input. After Close it returns os.ErrClosed. A terminal that was hung up is at its end, io.EOF.
func (s *Stdin) Read(p []byte) (int, error) {
	ready, err := s.poll()
	if err != nil {
		return 0, err
	}
	if !ready {
		return 0, os.ErrClosed
	}
	n, err := s.file.Read(p)
	if errors.Is(err, unix.EIO) {
		err = io.EOF
	}
	return n, err
}

// poll returns whether the file has something; false: Close was called.
func (s *Stdin) poll() (bool, error) {
	var ready bool
	err := control(s.wake, func(wake int) error {
		return control(s.file, func(fd int) error {
			fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}} // descriptors
			for {
				if _, err := unix.Poll(fds, -1); err == nil {
					ready = fds[0].Revents == 0
					return nil
				} else if !errors.Is(err, unix.EINTR) {
					return err
				}
			}
		})
	})
	if errors.Is(err, os.ErrClosed) {
		return false, nil
	}
	return ready, err
}

// Close wakes a Read that waits. It is called once; the reader may still return what it has.
func (s *Stdin) Close() error { return s.hold.Close() }

// Release frees what NewStdin took, when no Read is running any more.
func (s *Stdin) Release() error { return s.wake.Close() }
