package browse

import (
	"io/fs"
	"path"
	"strings"

	"berth/runtime/engine/access"
	"berth/runtime/engine/container"
	"berth/runtime/engine/files"
)

// View is a volume as one container sees it.
type View struct {
	User
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	Account string `json:"user,omitempty"` // name of UID in the container

	subpath   string
	container access.Container
	who       container.Viewer
}

// Entry is a file of a volume, with its owners as a container names them.
type Entry struct {
	files.Entry
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	Why   string `json:"why,omitempty"` // why the container's user cannot write it
	Fix   string `json:"fix,omitempty"` // a command for the workspace's shell that mends it
}

// NewView is how the container u sees the volume, as who.
func NewView(u container.VolumeUser, who container.Viewer) *View {
	v := &View{User: user(u), UID: who.Process.UID, Account: who.Process.Name, subpath: u.Subpath, who: who}
	if len(who.Process.GIDs) > 0 {
		v.GID = who.Process.GIDs[0]
	}
	v.container = access.Container{Name: u.Name, Image: u.Image, Destination: u.Destination, ReadOnly: !u.RW, Running: u.Running}
	return v
}

// in is a path of the volume as the container sees it; false: it does not.
func (v *View) in(name string) (string, bool) {
	if v.subpath == "/" || name == v.subpath || strings.HasPrefix(name, v.subpath+"/") {
		return path.Join(v.Destination, strings.TrimPrefix(name, strings.TrimSuffix(v.subpath, "/"))), true
	}
	return "", false
}

// Directory describes dir, a directory of the volume, and what is in it. way is files.Tree's, of dir. A nil View has only
// numbers.
func (v *View) Directory(dir string, way []fs.FileInfo, list []files.Entry) (self Entry, entries []Entry) {
	self = Entry{Entry: files.Describe(way[len(way)-1])}
	self.Name = "."
	entries = make([]Entry, len(list))
	for i, e := range list {
		entries[i] = Entry{Entry: e}
	}
	if v == nil {
		return self, entries
	}
	nodes, seen := v.nodes(dir, way)
	v.name(&self)
	if seen {
		explain(&self, v, nodes)
	}
	for i := range entries {
		e := &entries[i]
		v.name(e)
		if at, ok := v.in(path.Join(dir, e.Name)); ok && seen {
			explain(e, v, append(nodes, access.Node{Path: at, UID: e.UID, GID: e.GID, Owner: e.Owner, Mode: modeOf(e.Entry)}))
		}
	}
	return self, entries
}

func explain(e *Entry, v *View, nodes []access.Node) {
	r := access.Explain(v.who.Process, v.container, nodes)
	e.Why, e.Fix = r.Why, r.Fix
}

func (v *View) name(e *Entry) { e.Owner, e.Group = v.who.Users[e.UID], v.who.Groups[e.GID] }

// nodes is the way from the container's root to a directory of the volume; false: the container does not see that.
func (v *View) nodes(dir string, way []fs.FileInfo) ([]access.Node, bool) {
	nodes := append([]access.Node{}, v.who.Above...)
	at, seen := "/", false
	for i, part := range append([]string{""}, strings.FieldsFunc(dir, func(r rune) bool { return r == '/' })...) {
		at = path.Join(at, part)
		inside, ok := v.in(at)
		if !ok || i >= len(way) {
			continue
		}
		n := access.NodeOf(inside, way[i])
		n.Owner = v.who.Users[n.UID]
		nodes, seen = append(nodes, n), true
	}
	return nodes, seen
}

// modeOf reads back what Entry writes for people.
func modeOf(e files.Entry) (m fs.FileMode) {
	switch e.Type {
	case "directory":
		m = fs.ModeDir
	case "symlink":
		m = fs.ModeSymlink
	}
	if len(e.Mode) < 9 {
		return m
	}
	letters := e.Mode[len(e.Mode)-9:]
	for i := range 9 {
		if letters[i] != '-' {
			m |= 1 << (8 - i)
		}
	}
	for letter, bit := range map[string]fs.FileMode{"u": fs.ModeSetuid, "g": fs.ModeSetgid, "t": fs.ModeSticky} {
		if strings.Contains(e.Mode[:len(e.Mode)-9], letter) {
			m |= bit
		}
	}
	return m
}
