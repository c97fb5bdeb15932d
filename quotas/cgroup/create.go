package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"berth/quotas"
)

// cpuPeriod is the window, in microseconds, over which the CPU limit holds: the kernel's default.
const cpuPeriod = 100_000

// minQuota is the least CPU time, in microseconds, that the kernel accepts for one period.
const minQuota = 1000

// maxGroups bounds what a sandbox can make below its own group: the kernel has 65535 memory groups for the whole host. On
// version 1 there is no such limit.
const maxGroups = 1024

// undoTimeout bounds the removal of a half-made group: it never held a process, so rmdir succeeds at once.
const undoTimeout = 2 * time.Second

// delegated are the files that let the owner make groups below, on version 2 (kernel: /sys/kernel/cgroup/delegate) and on
// version 1. Files that hold limits are not among them, so the owner cannot raise its own.
var (
	delegatedFilesV2 = []string{"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group"}
	delegatedFilesV1 = []string{"tasks", "cgroup.procs", "cgroup.clone_children", "notify_on_release"}
)

// Create makes the group of a sandbox, with its limits, and hands the part below it to ownerUID:ownerGID, the root of the
// sandbox's user namespace. A group of that name must not exist. When a step fails nothing is left.
func (in *Instance) Create(ctx context.Context, name string, l quotas.Limits, ownerUID, ownerGID int) (*Group, error) {
	g, err := in.Group(name)
	if err != nil {
		return nil, err
	}
	in.host.mu.Lock() // the choice of CPUs reads what others chose
	defer in.host.mu.Unlock()
	if err := in.prepare(); err != nil {
		return nil, fmt.Errorf("control group %s: %w", name, err)
	}
	var made []Dir
	for _, d := range g.Dirs {
		err := os.Mkdir(d.Path, 0o755)
		if err == nil {
			made = append(made, d)
			err = in.set(d, l, ownerUID, ownerGID)
		}
		if err != nil {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
			defer cancel()
			return nil, errors.Join(fmt.Errorf("control group %s: %w", name, err), (&Group{Dirs: made}).Remove(undo))
		}
	}
	return g, nil
}

// set writes the limits of one directory, then gives it away.
func (in *Instance) set(d Dir, l quotas.Limits, uid, gid int) error {
	files := delegatedFilesV1
	if in.host.Version == 2 || len(d.Controllers) == 0 {
		files = delegatedFilesV2
	}
	limit := in.limitV1
	if in.host.Version == 2 {
		limit = in.limitV2
	}
	if err := limit(d, l); err != nil {
		return err
	}
	for _, f := range append([]string{"."}, files...) {
		if err := os.Chown(filepath.Join(d.Path, f), uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delegate: %w", err)
		}
	}
	return nil
}

func (in *Instance) limitV2(d Dir, l quotas.Limits) error {
	cpus, err := chooseCPUs(filepath.Dir(d.Path), l.CPUs)
	if err != nil {
		return err
	}
	if err := writeIfPresent(d.Path, "memory.swap.max", "0"); err != nil { // absent without swap in the kernel
		return err
	}
	if err := writeIfPresent(d.Path, "memory.oom.group", "0"); err != nil { // one process dies, not the sandbox
		return err
	}
	return errors.Join(
		write(d.Path, "cpu.max", fmt.Sprintf("%d %d", cpuQuota(l.CPUs), cpuPeriod)),
		write(d.Path, "memory.max", strconv.FormatInt(l.MemoryBytes, 10)),
		write(d.Path, "pids.max", strconv.FormatInt(l.PIDs, 10)),
		write(d.Path, "cpuset.cpus", cpus),
		write(d.Path, "cgroup.max.descendants", strconv.Itoa(maxGroups)), // kernel 4.14
	)
}

func (in *Instance) limitV1(d Dir, l quotas.Limits) error {
	for _, c := range d.Controllers {
		if err := in.limitV1Controller(d.Path, c, l); err != nil {
			return err
		}
	}
	return nil
}

func (in *Instance) limitV1Controller(dir, controller string, l quotas.Limits) error {
	switch controller {
	case "cpu":
		return errors.Join(
			write(dir, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)),
			write(dir, "cpu.cfs_quota_us", strconv.FormatInt(cpuQuota(l.CPUs), 10)),
		)
	case "cpuset":
		cpus, err := chooseCPUs(filepath.Dir(dir), l.CPUs)
		if err != nil {
			return err
		}
		if err := fillCpuset(dir); err != nil {
			return err
		}
		// clone_children: groups that the sandbox makes start with its CPUs, instead of none, where nothing can run.
		return errors.Join(write(dir, "cpuset.cpus", cpus), write(dir, "cgroup.clone_children", "1"))
	case "memory":
		n := strconv.FormatInt(l.MemoryBytes, 10)
		if err := write(dir, "memory.limit_in_bytes", n); err != nil {
			return err
		}
		return writeIfPresent(dir, "memory.memsw.limit_in_bytes", n) // after the first: it may never be smaller
	case "pids":
		return write(dir, "pids.max", strconv.FormatInt(l.PIDs, 10))
	}
	return nil
}

// cpuQuota is the CPU time in microseconds for each cpuPeriod.
func cpuQuota(cpus float64) int64 {
	return max(minQuota, int64(math.Round(cpus*cpuPeriod)))
}

// fillCpuset copies CPUs and memory nodes from the parent, where they are empty: on version 1 no process can enter before.
func fillCpuset(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := readString(dir, file)
		if err != nil {
			return err
		}
		if have != "" {
			continue
		}
		from, err := readString(filepath.Dir(dir), file)
		if err != nil {
			return err
		}
		if err := write(dir, file, from); err != nil {
			return err
		}
	}
	return nil
}

// dir returns the directory that holds a controller; on version 2 the only one.
func (g *Group) dir(controller string) string {
	for _, d := range g.Dirs {
		if g.Version == 2 || slices.Contains(d.Controllers, controller) {
			return d.Path
		}
	}
	return ""
}
