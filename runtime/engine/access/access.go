// Package access explains why a container's process cannot write to a file of a volume, and what would mend it. It knows
// owners, modes, capabilities and read-only mounts; access control lists and file systems' own flags it does not.
package access

import (
	"fmt"
	"io/fs"
	"slices"
	"syscall"
)

// Process is who would write.
type Process struct {
	UID    uint32
	GIDs   []uint32 // all of its groups
	Caps   uint64   // effective ones, bits as in capabilities(7)
	Name   string   // of the user, as the container has it; may be empty
	NoUser bool     // nothing is known of it: nothing is explained by owners
}

// The capabilities that look past modes: linux/capability.h.
const (
	CapDACOverride   = 1 << 1
	CapDACReadSearch = 1 << 2
)

// Container is where it runs, for the words and the command that mends.
type Container struct {
	Name        string
	Image       string
	Destination string // of the mount
	ReadOnly    bool   // the mount, by the container's own choice
	Running     bool
}

// Node is one file on the way from the container's root to what is asked about.
type Node struct {
	Path     string // in the container
	UID, GID uint32
	Owner    string // name of UID, as the container has it; may be empty
	Mode     fs.FileMode
}

// Reason is why something cannot be written. The zero value: it can.
type Reason struct {
	Why string // sentences: what stands in the way, and what to do
	Fix string // a command of the workspace's shell that mends it; empty where there is none, or none that is safe to type
}

// None reports whether nothing stands in the way.
func (r Reason) None() bool { return r.Why == "" }

// Bits of one class of a mode.
const (
	canExecute = 1
	canWrite   = 2
)

// Explain says why p cannot write the last of nodes: change a file's content, or make and remove files in a directory. The
// nodes before it are the directories that lead there, the root first. A symbolic link is not explained: where it leads is
// decided in the container.
func Explain(p Process, c Container, nodes []Node) Reason {
	if len(nodes) == 0 {
		return Reason{}
	}
	last := nodes[len(nodes)-1]
	if last.Mode.Type() == fs.ModeSymlink {
		return Reason{}
	}
	if c.ReadOnly {
		return Reason{Why: fmt.Sprintf("%s mounts this volume read-only at %s. To write here, start it again without \":ro\" (or \"readonly\").",
			c.Name, show(c.Destination))}
	}
	if p.NoUser || p.Caps&CapDACOverride != 0 {
		return Reason{}
	}
	for _, n := range nodes[:len(nodes)-1] {
		if !p.may(n, canExecute) && p.Caps&CapDACReadSearch == 0 {
			return p.blocked(c, n)
		}
	}
	need := uint32(canWrite)
	if last.Mode.IsDir() && p.Caps&CapDACReadSearch == 0 {
		need |= canExecute
	}
	if p.may(last, need) {
		return Reason{}
	}
	return p.denied(c, last, need)
}

// class is which bits of a mode count for p: how far they are shifted, and what they are called.
func (p Process) class(n Node) (shift uint, letter, word string) {
	switch {
	case p.UID == n.UID:
		return 6, "u", "owner"
	case slices.Contains(p.GIDs, n.GID):
		return 3, "g", "group"
	}
	return 0, "o", "others"
}

func (p Process) may(n Node, need uint32) bool {
	shift, _, _ := p.class(n)
	return uint32(n.Mode.Perm())>>shift&need == need
}

// blocked explains a directory on the way that p may not pass.
func (p Process) blocked(c Container, n Node) Reason {
	_, letter, _ := p.class(n)
	return Reason{
		Why: fmt.Sprintf("%s is on the way, %s with mode %s, and %s: it may not pass through. Give that directory the x bit.",
			show(n.Path), ownedBy(n), mode(n), p.runsAs(c)),
		Fix: c.asRoot("chmod", letter+"+x", n.Path),
	}
}

// denied explains what p may not write.
func (p Process) denied(c Container, n Node, need uint32) Reason {
	_, letter, class := p.class(n)
	kind, bits := "file", "w"
	if n.Mode.IsDir() {
		kind, bits = "directory", "wx"
	}
	chmod := Reason{Fix: c.asRoot("chmod", letter+"+"+bits, n.Path)}
	what := fmt.Sprintf("%s is %s with mode %s, and %s", show(n.Path), ownedBy(n), mode(n), p.runsAs(c))
	switch {
	case class == "owner":
		chmod.Why = fmt.Sprintf("%s: it owns the %s, but the mode lacks %s for the owner. Run chmod u+%s on it.", what, kind, bits, bits)
		return chmod
	case class == "group" && n.GID != 0: // a user without a group of its own has root's, which nobody means to share
		chmod.Why = fmt.Sprintf("%s, which is in its group: the group lacks %s. Run chmod g+%s on it.", what, bits, bits)
		return chmod
	}
	if p.UID == 0 {
		return Reason{
			Why: what + " without the capability DAC_OVERRIDE: even root is then held to the mode. Start the container with --cap-add DAC_OVERRIDE, or give it the " + kind + ".",
			Fix: c.asRoot("chown", "0:0", n.Path),
		}
	}
	own := fmt.Sprintf("%d:%d", p.UID, p.gid())
	recursive := own
	if n.Mode.IsDir() {
		recursive = "-R " + own
	}
	return Reason{
		Why: fmt.Sprintf("%s: only the owner%s may write. Run chown %s on it in a container that is root, or let the image's USER be %s.",
			what, orGroup(n, need), recursive, owner(n)),
		Fix: c.asRoot("chown", recursive, n.Path),
	}
}

func orGroup(n Node, need uint32) string {
	if uint32(n.Mode.Perm())>>3&need == need {
		return " or the group"
	}
	return ""
}

func (p Process) gid() uint32 {
	if len(p.GIDs) == 0 {
		return 0
	}
	return p.GIDs[0]
}

func (p Process) runsAs(c Container) string {
	if p.Name == "" {
		return fmt.Sprintf("%s runs as uid %d", c.Name, p.UID)
	}
	return fmt.Sprintf("%s runs as uid %d %q", c.Name, p.UID, p.Name)
}

func ownedBy(n Node) string { return fmt.Sprintf("owned by %d:%d", n.UID, n.GID) + named(n.Owner) }

func owner(n Node) string { return fmt.Sprintf("%d", n.UID) + named(n.Owner) }

func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

// mode is what chmod(1) takes.
func mode(n Node) string {
	m := uint32(n.Mode.Perm())
	for bit, v := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if n.Mode&bit != 0 {
			m |= v
		}
	}
	return fmt.Sprintf("%03o", m)
}

// NodeOf is a file at path, without the name of its owner.
func NodeOf(path string, info fs.FileInfo) Node {
	n := Node{Path: path, Mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.UID, n.GID = st.Uid, st.Gid
	}
	return n
}
