package layers

import (
	"bytes"
	"slices"
)

// Change is what a layer does to a path.
type Change uint8

// The changes. A directory that a layer only has because of what is in it is Same.
const (
	Same Change = iota
	Added
	Changed
	Removed
)

// String is the word that answers use.
func (c Change) String() string { return [...]string{"", "added", "changed", "removed"}[c&3] }

// Stack is the layers of an image over each other: every path that any of them has, with what each does to it.
type Stack struct {
	layers   []*Index // lowest first
	nodes    []node   // from the root on, what is in a directory right behind it, sorted by name
	versions []version
}

// node is a path.
type node struct {
	first  int32 // of its versions, which go up to the next node's
	end    int32 // the node after the last one below this one
	parent int32
}

// version is what one layer says about a path.
type version struct {
	entry  int32 // of the layer's index; -1: the layer removes the path
	layer  uint16
	change Change
	hides  bool // nothing that lower layers have below this path is seen any more
}

// NewStack lays indexes over each other, the lowest first.
func NewStack(list []*Index) *Stack {
	s := &Stack{layers: list}
	root := make([]version, 0, len(list))
	for i := range list {
		v := version{layer: uint16(i), hides: list[i].entries[0].flags&flagOpaque != 0}
		if i == 0 {
			v.change = Added
		}
		root = append(root, v)
	}
	s.nodes, s.versions = append(s.nodes, node{parent: -1}), root
	s.fill(0)
	s.nodes = append(s.nodes, node{first: int32(len(s.versions))}) // where the versions of the last one end
	s.nodes[0].end = int32(s.Len())
	return s
}

// Len is the number of paths.
func (s *Stack) Len() int { return len(s.nodes) - 1 }

// cursor goes through the entries of one layer's directory.
type cursor struct {
	layer     uint16
	next, end int32
}

// fill appends all that is in a directory, over all layers that have it.
func (s *Stack) fill(dir int32) {
	var cursors []cursor
	var hidden []uint16 // the layers from which on nothing older is seen
	for _, v := range s.versions[s.nodes[dir].first:] {
		e := (*entry)(nil)
		if v.entry >= 0 {
			e = &s.layers[v.layer].entries[v.entry]
		}
		if v.hides {
			hidden = append(hidden, v.layer)
		}
		if e != nil && e.kind == Directory && e.end > v.entry+1 {
			cursors = append(cursors, cursor{v.layer, v.entry + 1, e.end})
		}
	}
	for len(cursors) > 0 {
		name := s.least(cursors)
		at := int32(len(s.nodes))
		s.nodes = append(s.nodes, node{first: int32(len(s.versions)), parent: dir})
		s.merge(cursors, name, hidden)
		cursors = s.advance(cursors, name)
		if int(s.nodes[at].first) == len(s.versions) { // only marks that something is gone which was never there
			s.nodes = s.nodes[:at]
			continue
		}
		s.fill(at)
		s.nodes[at].end = int32(len(s.nodes))
	}
}

func (s *Stack) least(cursors []cursor) []byte {
	var name []byte
	for i, c := range cursors {
		if n := s.layers[c.layer].name(c.next); i == 0 || bytes.Compare(n, name) < 0 {
			name = n
		}
	}
	return name
}

func (s *Stack) advance(cursors []cursor, name []byte) []cursor {
	for i := range cursors {
		c := &cursors[i]
		if bytes.Equal(s.layers[c.layer].name(c.next), name) {
			c.next = s.layers[c.layer].entries[c.next].end
		}
	}
	return slices.DeleteFunc(cursors, func(c cursor) bool { return c.next >= c.end })
}

// merge appends the versions of the name that the cursors are at, in the order of layers. hidden are the layers in which its
// directory is made anew.
func (s *Stack) merge(cursors []cursor, name []byte, hidden []uint16) {
	var below *entry // what is seen so far
	remove := func(layer uint16) {
		if below != nil {
			s.versions = append(s.versions, version{entry: -1, layer: layer, change: Removed, hides: true})
			below = nil
		}
	}
	for _, c := range cursors {
		x := s.layers[c.layer]
		if !bytes.Equal(x.name(c.next), name) {
			continue
		}
		for len(hidden) > 0 && hidden[0] < c.layer {
			remove(hidden[0])
			hidden = hidden[1:]
		}
		anew := len(hidden) > 0 && hidden[0] == c.layer
		if anew {
			hidden = hidden[1:]
		}
		e := &x.entries[c.next]
		if e.kind == whiteout {
			remove(c.layer)
			continue
		}
		v := version{entry: c.next, layer: c.layer, change: changeOf(below, e)}
		v.hides = anew || e.kind != Directory || e.flags&flagOpaque != 0
		s.versions, below = append(s.versions, v), e
	}
	for _, layer := range hidden {
		remove(layer)
	}
}

func changeOf(below, e *entry) Change {
	switch {
	case below == nil:
		return Added
	case below.kind == Directory && e.kind == Directory && below.mode == e.mode && below.uid == e.uid && below.gid == e.gid:
		return Same
	}
	return Changed
}

// of are the versions of a node, lowest first.
func (s *Stack) of(n int32) []version { return s.versions[s.nodes[n].first:s.nodes[n+1].first] }

func (s *Stack) entry(v version) *entry { return &s.layers[v.layer].entries[v.entry] }

// name is a node's: its first version is always one that is there.
func (s *Stack) name(n int32) []byte {
	v := s.versions[s.nodes[n].first]
	return s.layers[v.layer].name(v.entry)
}

// path writes a node's path behind buf.
func (s *Stack) path(buf []byte, n int32) []byte {
	if n == 0 {
		return append(buf, '/')
	}
	at := len(buf)
	for ; n > 0; n = s.nodes[n].parent { // backwards, then turned around
		name := s.name(n)
		for i := len(name) - 1; i >= 0; i-- {
			buf = append(buf, name[i])
		}
		buf = append(buf, '/')
	}
	slices.Reverse(buf[at:])
	return buf
}

// asOf is what is seen of a node when the layers end with this one. ok is false where there is nothing.
func (s *Stack) asOf(n int32, layer int) (v version, ok bool) {
	all := s.of(n)
	for i := len(all) - 1; i >= 0; i-- {
		if int(all[i].layer) <= layer {
			return all[i], all[i].entry >= 0
		}
	}
	return version{}, false
}

// in is what one layer says about a node, and what was seen of it below. ok is false where it says nothing.
func (s *Stack) in(n int32, layer int) (v, below version, ok bool) {
	below.entry = -1
	for _, v := range s.of(n) {
		if int(v.layer) == layer {
			return v, below, true
		}
		if int(v.layer) > layer {
			break
		}
		below = v
	}
	return version{}, below, false
}

// child finds a name in a directory.
func (s *Stack) child(dir int32, name string) (int32, bool) {
	for n := dir + 1; n < s.nodes[dir].end; n = s.nodes[n].end {
		if string(s.name(n)) == name {
			return n, true
		}
	}
	return 0, false
}
