package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// Bounds on the end of what runs in a control group.
const (
	groupEndTimeout = 10 * time.Second
	groupEndPause   = 2 * time.Millisecond
)

// Cgroups are the control group hierarchies as they are mounted in the sandbox. Of version 1 there is one per controller,
// and those that were not delegated are absent; version 2 is one with all of them.
type Cgroups struct {
	Root    string // where they are mounted
	Unified bool
	// dirs maps controllers to the directory of their hierarchy; on version 2 they are all Root.
	dirs map[string]string

	mu   sync.Mutex
	held map[string]struct{} // groups of containers that are started, or about to be
}

// FindCgroups looks at what is mounted at root.
func FindCgroups(root string) (*Cgroups, error) {
	c := &Cgroups{Root: root, dirs: map[string]string{}, held: map[string]struct{}{}}
	if b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		c.Unified = true
		for name := range strings.FieldsSeq(string(b)) {
			c.dirs[name] = root
		}
		return c, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		for name := range strings.SplitSeq(e.Name(), ",") {
			c.dirs[name] = filepath.Join(root, e.Name())
		}
	}
	return c, nil
}

// Has reports whether a controller was delegated, by its name on version 1 (cpu, cpuset, memory, pids, blkio, freezer).
func (c *Cgroups) Has(controller string) bool {
	_, ok := c.dirs[c.name(controller)]
	return ok || c.Unified && (controller == "freezer" || controller == "cpuacct")
}

func (c *Cgroups) name(controller string) string {
	if c.Unified && controller == "blkio" {
		return "io"
	}
	return controller
}

// dir is a group's directory for one controller, "" where there is none.
func (c *Cgroups) dir(controller, group string) string {
	if c.Unified {
		return c.Root + group
	}
	if d, ok := c.dirs[controller]; ok {
		return d + group
	}
	return ""
}

// Read returns a file of a group's controller. It is fs.ErrNotExist where the controller is absent.
func (c *Cgroups) Read(controller, group, file string) (string, error) {
	dir := c.dir(controller, group)
	if dir == "" {
		return "", &fs.PathError{Op: "read", Path: controller + "/" + file, Err: fs.ErrNotExist}
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(b)), err
}

// Number reads a file of one number; "max" and what is not there are ok = false.
func (c *Cgroups) Number(controller, group, file string) (n uint64, ok bool) {
	s, err := c.Read(controller, group, file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// Table reads a file of lines "key value".
func (c *Cgroups) Table(controller, group, file string) map[string]uint64 {
	s, err := c.Read(controller, group, file)
	if err != nil {
		return nil
	}
	t := map[string]uint64{}
	for line := range strings.Lines(s) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			t[key] = n
		}
	}
	return t
}

// Killed is how many processes of a group the kernel has ended because its memory was spent.
func (c *Cgroups) Killed(group string) uint64 {
	file := "memory.oom_control"
	if c.Unified {
		file = "memory.events"
	}
	return c.Table("memory", group, file)["oom_kill"]
}

// all are the group's directories that there are.
func (c *Cgroups) all(group string) []string {
	dirs := []string{c.Root + group}
	if !c.Unified {
		dirs = nil
		for _, d := range c.dirs {
			dirs = append(dirs, d+group)
		}
	}
	dirs = slices.DeleteFunc(dirs, func(d string) bool {
		_, err := os.Stat(d)
		return err != nil
	})
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Processes are the PIDs in a group, without those in groups below it.
func (c *Cgroups) Processes(group string) ([]int, error) {
	for _, controller := range []string{"pids", "freezer", "memory", "cpu"} {
		s, err := c.Read(controller, group, "cgroup.procs")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var pids []int
		for f := range strings.FieldsSeq(s) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
		return pids, nil
	}
	return nil, nil
}

// hold keeps the groups above a group until Remove: runc makes what is missing of them one by one, and must not find one gone
// that it has just seen or made.
func (c *Cgroups) hold(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[group] = struct{}{}
}

// Remove ends what still runs in a group and removes it, with the groups that were made below it and those above it, up to
// the payload, that no container needs. A group that is not there is none to remove.
func (c *Cgroups) Remove(ctx context.Context, group string) error {
	if !strings.HasPrefix(group, boot.Payload+"/") || filepath.Clean(group) != group {
		return fmt.Errorf("control group %q is not a container's", group)
	}
	var failed error
	for _, dir := range c.all(group) {
		failed = errors.Join(failed, removeGroup(ctx, dir))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, group)
	for up := filepath.Dir(group); up != boot.Payload && !c.needs(up); up = filepath.Dir(up) {
		for _, dir := range c.all(up) {
			_ = unix.Rmdir(dir) // in use by something that a container has made
		}
	}
	return failed
}

// needs says whether a container that is held is below a group.
func (c *Cgroups) needs(group string) bool {
	for held := range c.held {
		if strings.HasPrefix(held, group+"/") {
			return true
		}
	}
	return false
}

func removeGroup(ctx context.Context, dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, groupEndTimeout)
	defer cancel()
	tick := time.NewTicker(groupEndPause)
	defer tick.Stop()
	for {
		if err := endGroup(dir); err != nil {
			return err
		}
		if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("control group %s does not empty: %w", dir, context.Cause(ctx))
		}
	}
}

// endGroup kills what is in dir and below, thaws it so that the signal is taken, and removes what is below.
func endGroup(dir string) error {
	for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil && !errors.Is(err, fs.ErrNotExist) &&
			!errors.Is(err, fs.ErrPermission) { // creating files there is not permitted
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		below := filepath.Join(dir, e.Name())
		if err := endGroup(below); err != nil {
			return err
		}
		_ = unix.Rmdir(below) // tried again while there is something in it
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil //nolint:nilerr // it has gone meanwhile
	}
	for f := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
		}
	}
	return nil
}

// HasSwap reports whether swap is accounted for.
func (c *Cgroups) HasSwap() bool {
	file := "memory.memsw.limit_in_bytes"
	if c.Unified {
		file = "memory.swap.max"
	}
	_, err := c.Read("memory", boot.Payload, file)
	return err == nil
}

// HasWeight reports whether the block I/O scheduler takes weights.
func (c *Cgroups) HasWeight() bool {
	files := []string{"blkio.weight", "blkio.bfq.weight"}
	if c.Unified {
		files = []string{"io.weight", "io.bfq.weight"}
	}
	return slices.ContainsFunc(files, func(f string) bool {
		_, err := c.Read("blkio", boot.Payload, f)
		return err == nil
	})
}

// Available is what the sandbox has of cpuset.cpus or cpuset.mems, "" where it is not known.
func (c *Cgroups) Available(file string) string {
	name := file
	if c.Unified {
		name += ".effective"
	}
	s, err := c.Read("cpuset", boot.Payload, name)
	if err != nil {
		return ""
	}
	return s
}
