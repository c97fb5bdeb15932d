package layers

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Query asks for a part of a tree. Layers are numbered from 0, the lowest.
type Query struct {
	Layer     int
	Path      string
	Merged    bool   // what is seen when the layers end with this one; otherwise what this layer itself holds and removes
	Recursive bool   // all below Path, flat; otherwise what is in it
	Filter    string // only names that hold this, or paths where it has a slash; letters' case does not count
	Change    Change // only what this layer has changed so; Same: all
	BySize    bool   // largest first; otherwise by name
	After     int    // how many to leave out
	Limit     int    // how many at most
}

// Page is an answer to a Query.
type Page struct {
	Entries []Entry `json:"entries"`
	Total   int     `json:"total"` // how many there are before After and Limit
}

// List answers a query.
func (s *Stack) List(q Query) (Page, error) {
	top, ok := s.find(q.Path)
	if ok && top > 0 {
		ok = s.shown(top, q)
	}
	if !ok {
		return Page{}, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("%s is not in this layer.", q.Path))
	}
	if v, _ := s.view(top, q); v.entry >= 0 && s.entry(v).kind != Directory {
		return Page{}, errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf("%s is no directory.", q.Path))
	}
	hits := s.matches(top, q)
	if q.BySize {
		size := map[int32]int64{}
		for _, n := range hits {
			size[n] = s.weight(n, q)
		}
		slices.SortStableFunc(hits, func(a, b int32) int { return cmp.Compare(size[b], size[a]) })
	}
	p := Page{Total: len(hits), Entries: []Entry{}}
	hits = hits[min(max(q.After, 0), len(hits)):]
	hits = hits[:min(q.Limit, len(hits))]
	p.Entries = make([]Entry, len(hits))
	for i, n := range hits {
		p.Entries[i] = s.describe(n, q)
	}
	return p, nil
}

func (s *Stack) matches(top int32, q Query) []int32 {
	hits := []int32{}
	text := bytes.ToLower([]byte(q.Filter))
	var buf []byte
	for n := top + 1; n < s.nodes[top].end; {
		match := s.shown(n, q) && s.changed(n, q)
		if match && len(text) > 0 {
			buf = buf[:0]
			if bytes.IndexByte(text, '/') >= 0 {
				buf = s.path(buf, n)
			} else {
				buf = append(buf, s.name(n)...)
			}
			match = bytes.Contains(bytes.ToLower(buf), text)
		}
		if match {
			hits = append(hits, n)
		}
		if q.Recursive {
			n++
		} else {
			n = s.nodes[n].end
		}
	}
	return hits
}

// shown reports whether a node is part of the tree that is asked for.
func (s *Stack) shown(n int32, q Query) bool {
	if q.Merged {
		_, ok := s.asOf(n, q.Layer)
		return ok
	}
	_, _, ok := s.in(n, q.Layer)
	return ok
}

// changed reports whether a node is, or in a tree of directories leads to, what the query wants changed.
func (s *Stack) changed(n int32, q Query) bool {
	if q.Change == Same {
		return true
	}
	if v, _, ok := s.in(n, q.Layer); ok && v.change == q.Change {
		return true
	}
	if q.Recursive {
		return false
	}
	sums := s.sums(n, q)
	return q.Change == Added && sums.Added > 0 || q.Change == Changed && sums.Changed > 0 || q.Change == Removed && sums.Removed > 0
}

// view is the version of a node that the query shows; of what its layer removes, the one that was there before.
func (s *Stack) view(n int32, q Query) (v version, c Change) {
	in, below, ok := s.in(n, q.Layer)
	if ok {
		c = in.change
	}
	if q.Merged {
		v, _ = s.asOf(n, q.Layer)
		return v, c
	}
	if in.entry < 0 {
		return below, c
	}
	return in, c
}

func (s *Stack) weight(n int32, q Query) int64 {
	v, _ := s.view(n, q)
	if s.entry(v).kind == Directory {
		return s.sums(n, q).Bytes
	}
	return s.entry(v).size
}

// find looks a path up among all that any layer has. Links are not followed.
func (s *Stack) find(name string) (n int32, ok bool) {
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		if n, ok = s.child(n, part); !ok {
			return 0, false
		}
	}
	return n, true
}
