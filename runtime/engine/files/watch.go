package files

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Limits of a watch.
const (
	maxWatchedDirs = 4096                   // directories of one watch; a watch costs the kernel about 1 KiB
	maxChanges     = 1000                   // told at once; with more everything is to be read anew
	watchPause     = 100 * time.Millisecond // what changes within it is told together
	watchAlive     = 15 * time.Second       // between two signs of life
	watchBuffer    = 64 << 10               // bytes of events, read at once
)

// Kinds of events. Created, Changed and Removed have a path.
const (
	Created  = "created"
	Changed  = "changed"
	Removed  = "removed"
	Ready    = "ready"    // from now on everything is told
	Partial  = "partial"  // there are more directories than are watched
	Overflow = "overflow" // more has changed than can be told: read everything anew
	Gone     = "gone"     // the directory is no more: the last event
	Alive    = "alive"    // nothing has happened for a while
)

// Event is one of what a watch tells.
type Event struct {
	Kind string `json:"kind"`
	Path string `json:"path,omitempty"`
	// Encoded is the path as it stands in a URL, where JSON cannot hold it: it is not UTF-8.
	Encoded string `json:"encoded,omitempty"`
}

// WatchOptions say what is watched beside a directory.
type WatchOptions struct {
	Flat bool     // not the directories below it
	Also []string // further directories, without those below them, and files
}

// Watch tells what changes in a directory and all below it until ctx ends, tell fails, or the directory is gone. Symbolic
// links below it are not followed.
func (t *Tree) Watch(ctx context.Context, name string, o WatchOptions, tell func(Event) error) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	w := &watcher{
		tree: t, base: path.Clean("/" + name), in: os.NewFile(uintptr(fd), "inotify"),
		dirs: map[int32]*watched{}, named: map[int32]map[string]string{}, kinds: map[string]string{},
	}
	defer w.in.Close()
	defer context.AfterFunc(ctx, func() { _ = w.in.Close() })() // ends the read below
	if w.first, err = w.watchBase(); err != nil {
		return err
	}
	if w.flat = o.Flat; !w.flat {
		w.descend("", false)
	}
	for _, dir := range o.Also {
		w.addAlso(path.Clean("/" + dir))
	}
	return w.follow(ctx, tell)
}

// watcher is one watch.
type watcher struct {
	tree  *Tree
	base  string // as it was named
	first int32  // base's own watch
	in    *os.File
	flat  bool

	dirs    map[int32]*watched
	named   map[int32]map[string]string // files in them → as they were asked for
	partial bool                        // not all directories are watched, which is told once
	told    bool

	kinds map[string]string // what is to be told, by path
	order []string
	full  bool
}

// watched is a directory: below base where it is part of the tree.
type watched struct {
	rel    string // below base; "": base itself
	alone  string // its path, where it is not part of the tree
	unseen bool   // only for the files that are asked for by name
}

func (w *watcher) path(d *watched, name string) string {
	if d.alone != "" {
		return path.Join(d.alone, name)
	}
	return path.Join(w.base, d.rel, name)
}

// follow reads events until the end.
func (w *watcher) follow(ctx context.Context, tell func(Event) error) error {
	if err := tell(Event{Kind: Ready}); err != nil {
		return err
	}
	buf := make([]byte, watchBuffer)
	due, pending := time.Now().Add(watchAlive), false // when something is to be told
	for {
		if w.partial && !w.told {
			w.told = true
			if err := tell(Event{Kind: Partial}); err != nil {
				return err
			}
		}
		_ = w.in.SetReadDeadline(due) // closed: the read says so
		n, err := w.in.Read(buf)
		gone := err == nil && w.take(buf[:n])
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the read ends with it
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		if !pending && (len(w.order) > 0 || w.full) {
			due, pending = time.Now().Add(watchPause), true
		}
		if time.Now().Before(due) && !gone {
			continue
		}
		if err := w.flush(tell); err != nil {
			return err
		}
		if gone {
			return tell(Event{Kind: Gone})
		}
		due, pending = time.Now().Add(watchAlive), false
	}
}

// flush tells what has changed, or that nothing has.
func (w *watcher) flush(tell func(Event) error) error {
	order, full := w.order, w.full
	w.order, w.full = nil, false
	defer clear(w.kinds)
	if full {
		return tell(Event{Kind: Overflow})
	}
	if len(order) == 0 {
		return tell(Event{Kind: Alive})
	}
	for _, p := range order {
		e := Event{Kind: w.kinds[p], Path: p}
		if !utf8.ValidString(p) {
			e.Encoded = (&url.URL{Path: p}).EscapedPath()
		}
		if err := tell(e); err != nil {
			return err
		}
	}
	return nil
}

// changed notes a change. What was made and then written to is still new.
func (w *watcher) changed(p, kind string) {
	before, known := w.kinds[p]
	switch {
	case w.full:
		return
	case !known && len(w.order) == maxChanges:
		w.full = true
		return
	case !known:
		w.order = append(w.order, p)
	case before == Created && kind == Changed:
		return
	case before == Removed && kind == Created:
		kind = Changed
	}
	w.kinds[p] = kind
}
