package layers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxDifferences = 2000      // that are told; the sums are of all
	maxCompared    = 512 << 20 // bytes that are read to tell whether files of one size are the same
)

// Difference is a path that two file systems have differently. A directory that only one has stands for all in it.
type Difference struct {
	Path    string `json:"path"`
	Escaped string `json:"escaped,omitempty"`
	Type    string `json:"type"`
	Change  string `json:"change"` // added: only the second has it; removed: only the first; changed
	Before  int64  `json:"before"` // bytes in the first
	After   int64  `json:"after"`
	Why     string `json:"why,omitempty"` // of what changed: content, mode, owner, type, target
	Files   int    `json:"files"`         // how many it stands for
}

// Differences are all of them.
type Differences struct {
	Added        int          `json:"added"` // files
	Changed      int          `json:"changed"`
	Removed      int          `json:"removed"`
	AddedBytes   int64        `json:"added_bytes"`
	ChangedBytes int64        `json:"changed_bytes"` // how many more the second has
	RemovedBytes int64        `json:"removed_bytes"`
	Unread       int          `json:"unread"`  // files that were compared by size and time alone, for there were too many
	Entries      []Difference `json:"entries"` // the largest, largest first
	Count        int          `json:"count"`   // of all entries
}

// side is one of two images that are compared.
type side struct {
	*Stack
	dirs []string
	ids  []string // diff-ids
}

func (s side) top(n int32) (version, bool) { return s.asOf(n, len(s.layers)-1) }

// comparing walks two stacks at once.
type comparing struct {
	ctx  context.Context
	a, b side
	out  Differences
	left int64 // bytes that may still be read
	err  error
}

// compare tells how the file system of b differs from that of a.
func compare(ctx context.Context, a, b side) (Differences, error) {
	c := &comparing{ctx: ctx, a: a, b: b, out: Differences{Entries: []Difference{}}, left: maxCompared}
	c.directory(0, 0)
	c.out.Count = len(c.out.Entries)
	weight := func(d Difference) int64 { return max(d.After, d.Before) }
	slices.SortStableFunc(c.out.Entries, func(x, y Difference) int { return cmp.Compare(weight(y), weight(x)) })
	c.out.Entries = slices.Clip(c.out.Entries[:min(len(c.out.Entries), maxDifferences)])
	return c.out, c.err
}

func (c *comparing) directory(x, y int32) {
	i, endI, j, endJ := x+1, c.a.nodes[x].end, y+1, c.b.nodes[y].end
	for c.err == nil && (i < endI || j < endJ) {
		order := 0
		switch {
		case i >= endI:
			order = 1
		case j >= endJ:
			order = -1
		default:
			order = bytes.Compare(c.a.name(i), c.b.name(j))
		}
		switch {
		case order < 0:
			c.only(c.a, i, Removed)
		case order > 0:
			c.only(c.b, j, Added)
		default:
			c.both(i, j)
		}
		if order <= 0 {
			i = c.a.nodes[i].end
		}
		if order >= 0 {
			j = c.b.nodes[j].end
		}
	}
}

// only is a path that one of them has.
func (c *comparing) only(s side, n int32, change Change) {
	v, ok := s.top(n)
	if !ok {
		return
	}
	files, size := 0, int64(0)
	for m := n; m < s.nodes[n].end; m++ {
		if v, ok := s.top(m); ok && s.entry(v).kind != Directory {
			files, size = files+1, size+s.entry(v).bytes()
		}
	}
	d := c.difference(s, n, s.entry(v).kind, change)
	d.Files = files
	if change == Added {
		d.After = size
		c.out.Added, c.out.AddedBytes = c.out.Added+files, c.out.AddedBytes+size
	} else {
		d.Before = size
		c.out.Removed, c.out.RemovedBytes = c.out.Removed+files, c.out.RemovedBytes+size
	}
	c.out.Entries = append(c.out.Entries, d)
}

func (c *comparing) difference(s side, n int32, kind Kind, change Change) Difference {
	d := Difference{Path: string(s.path(nil, n)), Type: kind.String(), Change: change.String()}
	if !utf8.ValidString(d.Path) {
		d.Escaped = url.QueryEscape(d.Path)
	}
	return d
}

func (c *comparing) both(i, j int32) {
	v, inA := c.a.top(i)
	w, inB := c.b.top(j)
	switch {
	case !inA && !inB:
		return
	case !inA:
		c.only(c.b, j, Added)
		return
	case !inB:
		c.only(c.a, i, Removed)
		return
	}
	x, y := c.a.entry(v), c.b.entry(w)
	if (x.kind == Directory) != (y.kind == Directory) {
		c.only(c.a, i, Removed)
		c.only(c.b, j, Added)
		return
	}
	why := c.why(v, w, j)
	if why != "" {
		d := c.difference(c.b, j, y.kind, Changed)
		d.Before, d.After, d.Why = x.bytes(), y.bytes(), why
		if y.kind != Directory {
			d.Files = 1
			c.out.Changed++
			c.out.ChangedBytes += y.bytes() - x.bytes()
		}
		c.out.Entries = append(c.out.Entries, d)
	}
	if x.kind == Directory {
		c.directory(i, j)
	}
}

// why names what differs between two that have the same path; "" is nothing. Times alone are no difference.
func (c *comparing) why(v, w version, n int32) string {
	if c.a.ids[v.layer] == c.b.ids[w.layer] && v.entry == w.entry {
		return ""
	}
	x, y := c.a.entry(v), c.b.entry(w)
	all := []string{}
	switch {
	case x.kind != y.kind:
		all = append(all, "type")
	case x.kind == Symlink && c.a.layers[v.layer].target(v.entry) != c.b.layers[w.layer].target(w.entry):
		all = append(all, "target")
	case x.kind == File && !c.same(v, w, n):
		all = append(all, "content")
	}
	if x.mode != y.mode && x.kind != Symlink {
		all = append(all, "mode")
	}
	if x.uid != y.uid || x.gid != y.gid {
		all = append(all, "owner")
	}
	return strings.Join(all, ", ")
}

// same reports whether two files hold the same: their bytes are read, as far as there is leave to.
func (c *comparing) same(v, w version, n int32) bool {
	x, y := c.a.entry(v), c.b.entry(w)
	if x.size != y.size || x.size == 0 {
		return x.size == y.size
	}
	if c.left -= x.size; c.left < 0 {
		c.left = 0
		c.out.Unread++
		return x.mtime == y.mtime
	}
	name := string(c.b.path(nil, n))
	equal, err := sameBytes(c.ctx, c.a.dirs[v.layer], c.b.dirs[w.layer], name)
	if err != nil {
		c.err = err
	}
	return equal
}

func sameBytes(ctx context.Context, dirA, dirB, name string) (bool, error) {
	f, err := openFile(dirA, name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := openFile(dirB, name)
	if err != nil {
		return false, err
	}
	defer g.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, errA := io.ReadFull(f, a)
		m, errB := io.ReadFull(g, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
			if end(errA) && end(errB) {
				return true, nil
			}
			return false, errors.Join(errA, errB)
		}
	}
}
