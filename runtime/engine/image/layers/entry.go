package layers

import (
	"net/url"
	"time"
	"unicode/utf8"
)

// Entry is one path of a tree.
type Entry struct {
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	Escaped string    `json:"escaped,omitempty"` // the path as a URL writes it, where it is not UTF-8
	Type    string    `json:"type"`
	Mode    string    `json:"mode"` // as ls -l writes it
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	Owner   string    `json:"owner,omitempty"` // as the image's /etc/passwd has it
	Group   string    `json:"group,omitempty"`
	Size    int64     `json:"size"` // bytes of a file, or of all files in a directory
	ModTime time.Time `json:"mod_time"`
	Target  string    `json:"target,omitempty"` // of a symbolic link
	Change  string    `json:"change,omitempty"` // added, changed, removed: by this layer
	Layer   int       `json:"layer"`            // that it comes from; of what is removed: that it came from
	Before  *int64    `json:"before,omitempty"` // bytes, of what this layer has changed
	Linked  bool      `json:"linked,omitempty"` // a further name of a file whose bytes are counted at another
	Opaque  bool      `json:"opaque,omitempty"` // a directory that hides what was in it
	Below   *Sums     `json:"below,omitempty"`  // of a directory
}

func (s *Stack) describe(n int32, q Query) Entry {
	v, change := s.view(n, q)
	x := s.entry(v)
	full, name := string(s.path(nil, n)), string(s.name(n))
	e := Entry{
		Name: name, Path: full, Type: x.kind.String(), Mode: x.modeString(), UID: x.uid, GID: x.gid, Size: x.size,
		ModTime: time.Unix(x.mtime, 0).UTC(), Change: change.String(), Layer: int(v.layer),
		Linked: x.flags&flagLinked != 0, Opaque: x.flags&flagOpaque != 0,
	}
	if !utf8.ValidString(full) {
		e.Escaped = url.QueryEscape(full)
	}
	switch x.kind {
	case Directory:
		sum := s.sums(n, q)
		e.Size, e.Below = sum.Bytes, &sum
	case Symlink:
		e.Target = s.layers[v.layer].target(v.entry)
	default: // no more to say
	}
	if _, below, ok := s.in(n, q.Layer); ok && change == Changed && below.entry >= 0 {
		size := s.entry(below).size
		e.Before = &size
	}
	return e
}

// modeString is the mode of an entry as ls -l writes it.
func (x *entry) modeString() string {
	b := []byte("-rwxrwxrwx")
	b[0] = [...]byte{File: '-', Directory: 'd', Symlink: 'l', Device: 'c', Pipe: 'p', Socket: 's', whiteout: '-'}[x.kind]
	for i := range 9 {
		if x.mode&(0o400>>i) == 0 {
			b[i+1] = '-'
		}
	}
	for i, bit := range []uint16{0o4000, 0o2000, 0o1000} {
		if x.mode&bit == 0 {
			continue
		}
		at, letter := 3+3*i, "sst"[i]
		if b[at] == '-' {
			letter -= 'a' - 'A'
		}
		b[at] = letter
	}
	return string(b)
}
