package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"berth/quotas/disk"
	"berth/sessions"
)

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
