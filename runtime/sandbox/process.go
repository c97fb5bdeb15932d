package sandbox

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// hostProcess is a sandbox's first process as the host sees it: a child of this server, or one of an earlier server.
type hostProcess struct {
	pid   int
	child bool // ours to reap
	fd    *os.File
	done  chan struct{} // closed when it has ended, or was released
	over  chan struct{} // closed when it has ended
	// signal that ended it; valid when over is closed; 0 where it is not known
	signal unix.Signal
}

// ownProcess watches a child by the pidfd it was started with.
func ownProcess(p *os.Process, pidfd int) (*hostProcess, error) {
	h, err := watch(p.Pid, pidfd, true)
	return h, errors.Join(err, p.Release())
}

// foundProcess watches a process that is no child of ours.
func foundProcess(pid int) (*hostProcess, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK) // kernel 5.10
	if err != nil {
		return nil, err
	}
	return watch(pid, fd, false)
}

func watch(pid, fd int, child bool) (*hostProcess, error) {
	if err := unix.SetNonblock(fd, true); err != nil { // lets the runtime's poller wait for it
		return nil, errors.Join(err, unix.Close(fd))
	}
	h := &hostProcess{pid: pid, child: child, fd: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{}), over: make(chan struct{})}
	conn, err := h.fd.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, h.fd.Close())
	}
	go func() {
		defer close(h.done)
		err := conn.Read(h.look)
		if err == nil {
			close(h.over)
		}
	}()
	return h, nil
}

// ended reports whether the process is known to have ended.
func (h *hostProcess) ended() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

// look reports whether the process has ended; false makes the poller wait until the pidfd is readable (pidfd_open(2)).
func (h *hostProcess) look(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 {
		return false
	}
	if h.child {
		var ws unix.WaitStatus
		if _, err := unix.Wait4(h.pid, &ws, 0, nil); err == nil && ws.Signaled() {
			h.signal = ws.Signal()
		}
	}
	return true
}

// kill ends the process, and with it all of its PID namespace: pid_namespaces(7). It returns when it is gone.
func (h *hostProcess) kill(ctx context.Context) error {
	if h.ended() {
		return nil
	}
	conn, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	var killErr error
	err = conn.Control(func(fd uintptr) { killErr = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	if err = errors.Join(err, killErr); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	select {
	case <-h.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release stops watching; the process lives on if it does.
func (h *hostProcess) release() error {
	err := h.fd.Close()
	<-h.done
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
