// Package cgroup bounds a whole sandbox, its engine included, with control groups: version 2 where the controllers are
// there, else version 1 (and the "hybrid" layout, where an empty version 2 tree stands beside version 1).
//
// Detect finds out what the host has and changes nothing. Instance is one server's corner of the tree: Create makes a
// Group below it, Group.Start starts a process inside, Usage reads it, Kill and Remove end it. A Group is plain data:
// keep it as JSON, and a later server, even one in another cgroup, works on with it.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the host's control groups cannot bound a sandbox.
var ErrUnsupported = errors.New("control groups of this host cannot bound a sandbox")

// Needed are the controllers without which limits would not hold.
var Needed = []string{"cpu", "cpuset", "memory", "pids"}

// delegatedV1 are the controllers of version 1 that a sandbox gets a directory in. Beyond Needed: runc inside the
// sandbox makes a directory in each one that is mounted, and devices, freezer and blkio are among them.
var delegatedV1 = []string{"cpu", "cpuacct", "cpuset", "memory", "pids", "freezer", "devices", "blkio"}

// Host is what a machine's control groups look like from where this process stands.
type Host struct {
	Version     int      // 1 or 2
	Controllers []string // that sandboxes get, sorted
	parents     []Dir    // where instances go: one directory on version 2, one for each hierarchy on version 1
	split       bool     // version 2 in a container: the processes beside us must leave the top before it can delegate
	top         string   // version 2: the highest directory whose subtree_control we may write
	mu          sync.Mutex
}

// Detect reads how control groups are mounted below root (normally "/sys/fs/cgroup") and where this process is in them.
// It fails with ErrUnsupported where a controller of Needed is missing.
func Detect(root string) (*Host, error) {
	mounts, err := readMounts(root)
	if err != nil {
		return nil, err
	}
	own, err := readOwn()
	if err != nil {
		return nil, err
	}
	h := &Host{}
	if unified, ok := mounts[""]; ok && hasAll(readFields(filepath.Join(unified.point, "cgroup.controllers")), Needed) {
		h.detectV2(unified, own[""])
	} else {
		h.detectV1(mounts, own)
	}
	var missing []string
	for _, c := range Needed {
		if !slices.Contains(h.Controllers, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: no controller %s below %s", ErrUnsupported, strings.Join(missing, ", "), root)
	}
	return h, nil
}

// detectV2 chooses where instances go on version 2:
//   - next to our own leaf, when systemd delegated the service's cgroup and put us in a leaf of it (Delegate=yes and
//     DelegateSubgroup=, systemd 254);
//   - below the root of a container's own cgroup namespace;
//   - else in /sys/fs/cgroup/berth. Also for a delegated service without a leaf: once its cgroup has controllers for
//     children, systemd could not start the service in it again while sandboxes live (EBUSY, no internal processes).
func (h *Host) detectV2(m mount, own string) {
	h.Version = 2
	h.Controllers = readFields(filepath.Join(m.point, "cgroup.controllers"))
	slices.Sort(h.Controllers)
	h.top = m.point
	dir := m.dir(own)
	parent := filepath.Dir(dir)
	switch {
	case dir != m.point && isDelegated(parent) && hasAll(readFields(filepath.Join(parent, "cgroup.controllers")), Needed):
		h.top = parent
		h.Controllers = readFields(filepath.Join(parent, "cgroup.controllers"))
		h.parents = []Dir{{Path: parent}}
		return
	case exists(filepath.Join(m.point, "cgroup.events")): // only the real root has none
		h.split = true
	}
	h.parents = []Dir{{Path: filepath.Join(m.point, "berth")}}
}

// detectV1 puts instances below our own cgroup of each hierarchy, so that limits set on us hold for sandboxes too.
func (h *Host) detectV1(mounts map[string]mount, own map[string]string) {
	h.Version = 1
	byPoint := map[string]int{}
	for _, c := range delegatedV1 {
		m, ok := mounts[c]
		if !ok {
			continue
		}
		h.Controllers = append(h.Controllers, c)
		if i, ok := byPoint[m.point]; ok { // co-mounted, as cpu,cpuacct
			h.parents[i].Controllers = append(h.parents[i].Controllers, c)
			continue
		}
		byPoint[m.point] = len(h.parents)
		h.parents = append(h.parents, Dir{Controllers: []string{c}, Path: filepath.Join(m.dir(own[c]), "berth")})
	}
	// The version 2 tree of a hybrid host limits nothing, but ends a sandbox in one write (cgroup.kill, kernel 5.14).
	if m, ok := mounts[""]; ok {
		h.parents = append(h.parents, Dir{Path: filepath.Join(m.dir(own[""]), "berth")})
	}
	slices.Sort(h.Controllers)
}

// isDelegated asks the mark that systemd sets on a cgroup that it handed over (Delegate=yes).
func isDelegated(dir string) bool {
	var b [8]byte
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, name, b[:]); err == nil && string(b[:n]) == "1" {
			return true
		}
	}
	return false
}

func hasAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
