package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Instance is one server's corner of the host's control groups. Two servers with different names never meet.
type Instance struct {
	host *Host
	name string
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Instance returns the corner that belongs to name: lower-case letters, digits, "-" and "_". It makes nothing yet.
func (h *Host) Instance(name string) (*Instance, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("control group instance %q: want lower-case letters, digits, - and _", name)
	}
	return &Instance{host: h, name: name}, nil
}

// dirs are the instance's own directories.
func (in *Instance) dirs() []Dir {
	dirs := make([]Dir, len(in.host.parents))
	for i, p := range in.host.parents {
		name := in.name
		if filepath.Base(p.Path) != "berth" {
			name = "sandboxes-" + in.name // among systemd's own names
		}
		dirs[i] = Dir{Controllers: p.Controllers, Path: filepath.Join(p.Path, name)}
	}
	return dirs
}

// List names the groups of this instance, also those that a killed server left half made.
func (in *Instance) List() ([]string, error) {
	var names []string
	for _, d := range in.dirs() {
		entries, err := os.ReadDir(d.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("list control groups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(names, e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Group returns the group of that name, there or not: what Sweep calls Kill and Remove on.
func (in *Instance) Group(name string) (*Group, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("control group %q: want lower-case letters, digits, - and _", name)
	}
	g := &Group{Version: in.host.Version, Name: name}
	for _, d := range in.dirs() {
		g.Dirs = append(g.Dirs, Dir{Controllers: d.Controllers, Path: filepath.Join(d.Path, name)})
	}
	return g, nil
}

// Release removes the instance's directories where they hold no groups; a server calls it last.
func (in *Instance) Release() error {
	in.host.mu.Lock()
	defer in.host.mu.Unlock()
	var errs []error
	for _, d := range in.dirs() {
		for _, path := range []string{d.Path, filepath.Dir(d.Path)} {
			if b := filepath.Base(path); b != "berth" && path != d.Path {
				continue // the service's own cgroup is systemd's
			}
			err := unix.Rmdir(path)
			if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) {
				errs = append(errs, fmt.Errorf("remove control group %s: %w", path, err))
			}
		}
	}
	return errors.Join(errs...)
}

// prepareTries bounds prepare. What makes a try fail does so once: another server that ends takes the directory away that both
// are in, until this one has its own there; and systemd takes controllers that no unit of its own wants away from the
// children of the root, until a grandchild has them.
const prepareTries = 5

// prepare makes the instance's directories and opens them for children. Both are cheap when done already.
func (in *Instance) prepare() (err error) {
	do := in.prepareV1
	if in.host.Version == 2 {
		do = in.prepareV2
	}
	for range prepareTries {
		if err = do(); !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, errTaken) {
			break
		}
	}
	return err
}

func (in *Instance) prepareV1() error {
	for _, d := range in.dirs() {
		for _, path := range []string{filepath.Dir(d.Path), d.Path} {
			if err := mkdir(path); err != nil {
				return err
			}
			if slices.Contains(d.Controllers, "cpuset") {
				if err := fillCpuset(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

var errTaken = errors.New("something takes controllers away again")

// prepareV2 makes every level hand the controllers on, from the highest that is ours to write.
func (in *Instance) prepareV2() error {
	if in.host.split {
		if err := leave(in.host.top); err != nil {
			return err
		}
	}
	dir := in.dirs()[0].Path
	if err := in.handOn(dir); err != nil {
		return err
	}
	if !hasAll(readFields(filepath.Join(dir, "cgroup.subtree_control")), Needed) {
		return fmt.Errorf("%s does not get the controllers %s: %w", dir, strings.Join(Needed, ", "), errTaken)
	}
	return nil
}

func (in *Instance) handOn(dir string) error {
	rel, err := filepath.Rel(in.host.top, dir)
	if err != nil {
		return fmt.Errorf("control group %s: %w", dir, err)
	}
	path := in.host.top
	for _, part := range append([]string{"."}, strings.Split(rel, "/")...) {
		path = filepath.Join(path, part)
		if err := mkdir(path); err != nil {
			return err
		}
		if err := enable(path); err != nil {
			return err
		}
	}
	return nil
}

// enable hands a group's controllers on to its children: all that it has, so that runc in a sandbox finds io too.
func enable(dir string) error {
	have := readFields(filepath.Join(dir, "cgroup.subtree_control"))
	for _, c := range readFields(filepath.Join(dir, "cgroup.controllers")) {
		if slices.Contains(have, c) {
			continue
		}
		if err := write(dir, "cgroup.subtree_control", "+"+c); err != nil && slices.Contains(Needed, c) {
			return err
		}
	}
	return nil
}

// leave moves every process of dir to its leaf "server": a group of version 2 with processes cannot delegate.
func leave(dir string) error {
	leaf := filepath.Join(dir, "server")
	if err := mkdir(leaf); err != nil {
		return err
	}
	for _, pid := range readFields(filepath.Join(dir, "cgroup.procs")) {
		if err := write(leaf, "cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func mkdir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make control group: %w", err)
	}
	return nil
}
