package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// consoleTimeout bounds the wait for a terminal after runc has said that the process runs: it was sent before that.
const consoleTimeout = 5 * time.Second

// console is a socket on which runc hands over the master of a container's terminal.
type console struct {
	path string
	l    *net.UnixListener
}

func newConsole(path string) (*console, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &console{path, l}, nil
}

// Close also removes the socket's file.
func (c *console) Close() error { return c.l.Close() }

// Master receives the terminal (SCM_RIGHTS, unix(7)).
func (c *console) Master() (*os.File, error) {
	deadline := time.Now().Add(consoleTimeout)
	if err := c.l.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn, err := c.l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("runc sent no terminal: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4)) // one descriptor
	_, n, _, _, err := conn.ReadMsgUnix(name, oob)
	if err != nil {
		return nil, fmt.Errorf("runc sent no terminal: %w", err)
	}
	return terminalFrom(oob[:n])
}

func terminalFrom(oob []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("there is no terminal in the message")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		return nil, errors.New("there is no terminal in the message")
	}
	unix.CloseOnExec(fds[0])
	// Non-blocking, so that reads go through the poller and Close ends them.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	return os.NewFile(uintptr(fds[0]), "ptmx"), nil
}
