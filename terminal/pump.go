package terminal

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readBytes is what one read of a PTY returns at most: N_TTY_BUF_SIZE of drivers/tty/n_tty.c.
	readBytes = 4 << 10
	// After the program's end what it wrote is still in the kernel, at most about 68 KiB (4 KiB of n_tty and 64 KiB of
	// tty buffers). Then EIO comes, unless somebody else holds the PTY: drainBytes and drainIdle bound the wait for it.
	drainBytes = 256 << 10
	drainIdle  = 200 * time.Millisecond
)

// pump reads the PTY into the ring, as fast as the viewers allow.
func (t *Terminal) pump(ctx context.Context, pty *os.File, ended <-chan struct{}) {
	buf := make([]byte, readBytes)
	left := drainBytes
	for t.awaitViewers(ctx) {
		select {
		case <-ended:
			if left <= 0 {
				return
			}
			_ = pty.SetReadDeadline(now().Add(drainIdle))
		default:
		}
		n, err := pty.Read(buf)
		t.output(buf[:n])
		if isClosed(ended) {
			left -= n
		}
		if err == nil || errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !isClosed(ended) {
			continue
		}
		if !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.EIO) {
			t.options.Logger.Warn("read pty", "terminal", t.name, "error", err)
		}
		// EIO: no slave is open. The program may run on without its terminal, or open it again by name.
		if !isClosed(ended) && errors.Is(err, unix.EIO) && t.reopened(ctx, ended) {
			continue
		}
		return
	}
}

// reopened waits a little after EIO of a program that runs on, and reports whether to read again.
func (t *Terminal) reopened(ctx context.Context, ended <-chan struct{}) bool {
	wait := time.NewTimer(drainIdle)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ended:
		return true // read what came between
	case <-ctx.Done():
		return false
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// awaitViewers returns true when output is wanted: some viewer is near enough, or nobody watches.
func (t *Terminal) awaitViewers(ctx context.Context) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		if t.wanted() {
			return true
		}
		select {
		case <-t.readable:
		case <-ctx.Done():
			return false
		}
	}
}

func (t *Terminal) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for v := range t.viewers {
		if t.ring.Next()-v.acked < uint64(t.options.HighWatermark) {
			return true
		}
	}
	return len(t.viewers) == 0
}

// output puts bytes into the ring and wakes those who wait for them.
func (t *Terminal) output(p []byte) {
	if len(p) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring.Append(p)
	t.title.feed(p)
	for v := range t.viewers {
		if t.ring.Next() >= v.wakeAt {
			v.notify()
		}
	}
}
