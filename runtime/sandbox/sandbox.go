package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// remove takes away all that is named after id, whether it is there or not. Processes first: what they hold is freed by
// their end.
func (l *Launcher) remove(ctx context.Context, id sessions.ID) error {
	steps := []func(context.Context, sessions.ID) error{
		l.removeProcesses,
		l.removeLink,
		l.removeDisk,
		func(_ context.Context, id sessions.ID) error { return l.Images.Release(l.lease(id)) },
		func(_ context.Context, id sessions.ID) error { return os.RemoveAll(l.runDir(id)) }, // last: it says where the rest is
	}
	for _, step := range steps {
		if err := step(ctx, id); err != nil {
			return fmt.Errorf("remove sandbox %s: %w", id, err)
		}
	}
	return nil
}

// removeProcesses ends whatever runs in the sandbox's control group and removes it. The group that was recorded counts:
// a later server may stand elsewhere in the tree.
func (l *Launcher) removeProcesses(ctx context.Context, id sessions.ID) error {
	group, err := l.Cgroups.Group(string(id))
	if err != nil {
		return err
	}
	groups := []interface {
		Kill(context.Context) error
		Remove(context.Context) error
	}{group}
	switch st, err := l.readState(id); {
	case err == nil:
		groups = append(groups, st.Cgroup)
	case !errors.Is(err, fs.ErrNotExist):
		l.Log.Warn("unreadable state", "sandbox", id, "error", err)
	}
	for _, g := range groups {
		if err := errors.Join(g.Kill(ctx), g.Remove(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// removeLink gives back the slot last of all that belongs to it: the next sandbox there has the same user IDs.
func (l *Launcher) removeLink(ctx context.Context, id sessions.ID) error {
	links, err := l.Network.List()
	if err != nil {
		return err
	}
	for _, o := range links {
		if o.ID != string(id) {
			continue
		}
		link := l.Network.Link(o.Slot, o.ID)
		if err := errors.Join(l.Names.Unlisten(link.Gateway), link.Remove(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// removeDisk deletes the session's disk once the kernel has let go of it, which it does by itself a moment after the
// last process has ended. A loop device that a launch left unmounted is detached.
func (l *Launcher) removeDisk(ctx context.Context, id sessions.ID) error {
	path := l.diskPath(id)
	tick := time.NewTicker(diskPoll)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		loops, err := disk.InUse(path)
		if err != nil {
			return err
		}
		if len(loops) == 0 {
			return os.RemoveAll(l.diskDir(id))
		}
		if tries == detachAfter {
			if err := disk.Detach(path); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("disk still in use by %v: %w", loops, context.Cause(ctx))
		}
	}
}
