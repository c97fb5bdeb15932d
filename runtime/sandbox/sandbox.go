package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/disk"
	"berth/quotas/network"
	"berth/runtime/engine/boot"
	"berth/sessions"
)

// The kernel unmounts a disk a moment after its last process; a device that stays is detached after detachAfter polls.
const (
	diskPoll    = 2 * time.Millisecond
	detachAfter = 50
)

// Sandbox implements sessions.Sandbox.
type Sandbox struct {
	launcher *Launcher
	state    state
	process  *hostProcess

	mu     sync.Mutex // held while closing
	closed bool       // Close was called
	gone   bool       // and has done all: the ID may be somebody else's by now
}

// Dial connects to the sandbox's API.
func (s *Sandbox) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.launcher.socket(s.state.ID))
}

// Wait returns when the sandbox has ended by itself or was closed.
func (s *Sandbox) Wait(ctx context.Context) (sessions.Exit, error) {
	select {
	case <-s.process.done:
	case <-ctx.Done():
		return sessions.Exit{}, context.Cause(ctx)
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return sessions.Exit{Reason: sessions.Closed}, nil
	}
	return s.why(), nil
}

// why finds out what ended a sandbox that nobody has closed. Its control group outlives it until it is closed.
func (s *Sandbox) why() sessions.Exit {
	exit := sessions.Exit{Reason: sessions.Crashed, Message: tail(s.launcher.logPath(s.state.ID))}
	u, err := s.state.Cgroup.Usage()
	killed := s.process.signal == unix.SIGKILL || !s.process.child // an earlier server's child: the signal is not known
	if err == nil && u.OOMKills > 0 && killed {
		exit.Reason = sessions.OutOfMemory
	}
	return exit
}

// Usage reads the sandbox's control group, disk and link.
func (s *Sandbox) Usage(context.Context) (quotas.Usage, error) {
	u, err := s.state.Cgroup.Usage()
	if err != nil {
		return u, err
	}
	u.At, u.OOMVictim = time.Now(), s.launcher.oom.last(string(s.state.ID))
	space, err := s.diskUsage()
	if err != nil {
		return u, err
	}
	u.DiskBytes, u.DiskFree, u.DiskInodes, u.InodesFree = space.Used, space.Free, space.InodesUsed, space.InodesFree
	traffic, err := s.link().Traffic()
	u.ReceivedBytes, u.SentBytes, u.EgressDenied = traffic.Received, traffic.Sent, traffic.Denied
	return u, err
}

func (s *Sandbox) link() *network.Link {
	return s.launcher.Network.Link(s.state.Slot, string(s.state.ID))
}

// diskUsage asks the file system through the sandbox's own root, which is not trusted: no link in it is followed.
// Nothing is kept open, for that would keep the disk mounted.
func (s *Sandbox) diskUsage() (disk.Space, error) {
	root, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", s.state.PID), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return disk.Space{}, err
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), boot.Disk, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return disk.Space{}, err
	}
	f := os.NewFile(uintptr(fd), boot.Disk)
	defer f.Close()
	return disk.Usage(f)
}

// Close ends the sandbox and frees all that it held.
func (s *Sandbox) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.closed = true
	if err := s.process.kill(ctx); err != nil {
		return fmt.Errorf("end sandbox %s: %w", s.state.ID, err)
	}
	if err := s.launcher.remove(ctx, s.state.ID); err != nil {
		return err
	}
	s.gone = true
	s.launcher.forget(s.state.ID)
	return s.process.release()
}
