package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// pollFirst and pollMost are the waits between two looks at a group that is ending.
const (
	pollFirst = 500 * time.Microsecond
	pollMost  = 20 * time.Millisecond
)

// Kill ends every process of the group, those of the groups below too, and returns when none is left or ctx ends. It is
// idempotent, and fine on a group that is gone. It never signals the calling process.
func (g *Group) Kill(ctx context.Context) error {
	wait := pollFirst
	for {
		left, err := g.killOnce()
		if err != nil {
			return fmt.Errorf("kill control group %s: %w", g.Name, err)
		}
		if left == 0 {
			return nil
		}
		if !pause(ctx, &wait) {
			return fmt.Errorf("kill control group %s: %d processes left: %w", g.Name, left, context.Cause(ctx))
		}
	}
}

// killOnce signals everything once and says how many processes there were.
func (g *Group) killOnce() (int, error) {
	var errs []error
	// A task that the version 1 freezer holds does not die before it is thawed; the sandbox may have frozen some.
	if g.Version == 1 {
		for _, dir := range tree(g.dir("freezer")) {
			if err := writeIfPresent(dir, "freezer.state", "THAWED"); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, err)
			}
		}
	}
	pids := g.pids()
	if len(pids) == 0 {
		return 0, nil
	}
	if unified := g.unified(); unified != "" && len(procs(unified)) > 0 {
		// One write, nothing can fork away from it. Kernel 5.14; before, ENOENT.
		if err := writeIfPresent(unified, "cgroup.kill", "1"); err != nil {
			errs = append(errs, err)
		}
	}
	return len(pids), errors.Join(append(errs, g.signalEach(pids))...)
}

// signalEach kills pids one by one, through pidfds, and only those that are still inside once the pidfd holds them: a
// number may have been given to somebody else meanwhile.
func (g *Group) signalEach(pids []int) error {
	fds := map[int]int{}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		} else if err != nil {
			return fmt.Errorf("pidfd of %d: %w", pid, err)
		}
		fds[pid] = fd
	}
	var errs []error
	for _, pid := range g.pids() {
		fd, ok := fds[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("kill %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// pids lists the processes of all hierarchies, ours not: a thread of ours is inside while Start forks.
func (g *Group) pids() []int {
	var all []int
	for _, d := range g.Dirs {
		for _, pid := range procs(d.Path) {
			if pid != os.Getpid() {
				all = append(all, pid)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// procs lists the processes in dir and below. 0 stands for one that our PID namespace does not show.
func procs(dir string) []int {
	var pids []int
	for _, d := range tree(dir) {
		for _, f := range readFields(d + "/cgroup.procs") {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Remove removes the group and the groups that the sandbox made below it, and retries while the kernel still has dying
// processes in them, until ctx ends. It is idempotent.
func (g *Group) Remove(ctx context.Context) error {
	wait := pollFirst
	for {
		err := g.removeOnce()
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return fmt.Errorf("remove control group %s: %w", g.Name, err)
		}
		if !pause(ctx, &wait) {
			return fmt.Errorf("remove control group %s: %w", g.Name, errors.Join(err, context.Cause(ctx)))
		}
	}
}

func (g *Group) removeOnce() error {
	var errs []error
	for _, d := range g.Dirs {
		dirs := tree(d.Path)
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, &os.PathError{Op: "rmdir", Path: dir, Err: err})
			}
		}
	}
	return errors.Join(errs...)
}

// pause waits, longer each time; false when ctx ended.
func pause(ctx context.Context, wait *time.Duration) bool {
	timer := time.NewTimer(*wait)
	defer timer.Stop()
	*wait = min(2**wait, pollMost)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
