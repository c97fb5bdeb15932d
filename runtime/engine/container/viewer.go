package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	apimount "github.com/moby/moby/api/types/mount"

	"berth/runtime/engine/access"
	"berth/runtime/engine/files"
	"berth/runtime/engine/oci"
)

// VolumeUser is a container that has a volume.
type VolumeUser struct {
	ID, Name, Image string
	Destination     string
	Subpath         string // of the volume, where only that part is mounted; "/": all of it
	RW, Running     bool
	created         time.Time
}

// VolumeUsers lists who has which volume: those that run first, then the newest first.
func (m *Manager) VolumeUsers() map[string][]VolumeUser {
	users := map[string][]VolumeUser{}
	for _, c := range m.all() {
		c.mu.Lock()
		for _, p := range c.rec.Mounts {
			if p.Type != apimount.TypeVolume {
				continue
			}
			u := VolumeUser{
				ID: c.id, Name: c.rec.Name, Image: c.rec.Config.Image, Destination: p.Destination, Subpath: "/", RW: p.RW,
				Running: c.run != nil, created: c.rec.Created,
			}
			if o := p.Spec.VolumeOptions; o != nil {
				u.Subpath = path.Clean("/" + o.Subpath)
			}
			users[p.Name] = append(users[p.Name], u)
		}
		c.mu.Unlock()
	}
	for _, list := range users {
		slices.SortFunc(list, func(a, b VolumeUser) int {
			if a.Running != b.Running {
				return map[bool]int{true: -1, false: 1}[a.Running]
			}
			if n := b.created.Compare(a.created); n != 0 {
				return n
			}
			return strings.Compare(a.ID+a.Destination, b.ID+b.Destination)
		})
	}
	return users
}

// Viewer is a container as one that reads and writes its files.
type Viewer struct {
	Process       access.Process
	Users, Groups map[uint32]string
	Above         []access.Node // the directories from the root to the mount, without it
}

// Viewer tells as whom a container reads and writes what is mounted at a destination: as its first process does or, where none
// runs, would. What the container does not have stays empty.
func (m *Manager) Viewer(ctx context.Context, id, destination string) (Viewer, error) {
	c, err := m.Get(id)
	if err != nil {
		return Viewer{}, err
	}
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r != nil {
		view, err := files.Enter(r.process.PID)
		if err == nil {
			defer view.Close()
			v := look(view.Tree, destination)
			v.Process, err = credentials(r.process.PID, c.host.Init != nil && *c.host.Init)
			v.Process.Name = v.Users[v.Process.UID]
			select {
			case <-r.process.Done(): // it may have been another process's
			default:
				return v, err
			}
		}
	}
	root, done, err := c.MountRoot(ctx)
	if err != nil {
		return Viewer{}, err
	}
	v := look(files.At(root), destination)
	v.Process, err = c.wouldBe(root)
	v.Process.Name = v.Users[v.Process.UID]
	return v, errors.Join(err, done())
}

// look reads the names of a container, and the way to the mount.
func look(tree *files.Tree, destination string) (v Viewer) {
	v.Users, v.Groups = names(tree, "/etc/passwd"), names(tree, "/etc/group")
	above := path.Dir(destination)
	way, err := tree.Way(above)
	if err != nil {
		return v // the mount is there: what leads to it is only looked at to explain
	}
	at := "/"
	for i, part := range append([]string{""}, strings.FieldsFunc(above, func(r rune) bool { return r == '/' })...) {
		at = path.Join(at, part)
		n := access.NodeOf(at, way[i])
		n.Owner = v.Users[n.UID]
		v.Above = append(v.Above, n)
	}
	return v
}

func names(tree *files.Tree, name string) map[uint32]string {
	f, info, err := tree.Open(name)
	if err != nil {
		return map[uint32]string{}
	}
	defer f.Close()
	if info.IsDir() {
		return map[uint32]string{}
	}
	return access.Names(f)
}

// wouldBe is the process that the configuration asks for, in the files at root.
func (c *Container) wouldBe(root string) (access.Process, error) {
	config, host := c.Config()
	u, _, err := lookupUser(root, config.User, host.GroupAdd)
	if err != nil {
		return access.Process{NoUser: true}, nil //nolint:nilerr // it cannot start, and says so then
	}
	p := access.Process{UID: u.UID, GIDs: append([]uint32{u.GID}, u.AdditionalGids...)}
	if u.UID != 0 {
		return p, nil
	}
	caps, err := oci.Capabilities(host.CapAdd, host.CapDrop, host.Privileged)
	for name, bit := range map[string]uint64{"CAP_DAC_OVERRIDE": access.CapDACOverride, "CAP_DAC_READ_SEARCH": access.CapDACReadSearch} {
		if slices.Contains(caps, name) {
			p.Caps |= bit
		}
	}
	return p, err
}

// credentials are those of a process, as proc_pid_status(5) has them; with an init of ours, of what it has started.
func credentials(pid int, init bool) (access.Process, error) {
	if init {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil {
			if first, _, _ := strings.Cut(strings.TrimSpace(string(b)), " "); first != "" {
				pid, _ = strconv.Atoi(first) // the kernel's
			}
		}
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return access.Process{NoUser: true}, nil // it has ended
	}
	defer f.Close()
	return parseStatus(f)
}

func parseStatus(r io.Reader) (p access.Process, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		f := strings.Fields(value)
		switch {
		case key == "Uid" && len(f) == 4: // real, effective, saved, of the file system
			p.UID = id(f[3])
		case key == "Gid" && len(f) == 4:
			p.GIDs = append(p.GIDs, id(f[3]))
		case key == "Groups":
			for _, g := range f {
				p.GIDs = append(p.GIDs, id(g))
			}
		case key == "CapEff" && len(f) == 1:
			p.Caps, err = strconv.ParseUint(f[0], 16, 64)
		}
	}
	return p, errors.Join(err, lines.Err())
}

func id(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return math.MaxUint32 // nobody's
	}
	return uint32(n)
}
