package files_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"berth/runtime/engine/files"
)

const patience = 10 * time.Second // for what takes a tenth of one

// watch is a running one.
type watch struct {
	t      *testing.T
	events chan files.Event
	done   chan error
	stop   context.CancelFunc
}

func (c container) watch(t *testing.T, name string, also ...string) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{t: t, events: make(chan files.Event, 5000), done: make(chan error, 1), stop: cancel}
	go func() {
		w.done <- c.Watch(ctx, name, files.WatchOptions{Also: also}, func(e files.Event) error {
			w.events <- e
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-w.done; err != nil {
			t.Errorf("the watch ended: %v", err)
		}
	})
	w.want(files.Ready, "")
	return w
}

// want waits for an event, past others, and returns it.
func (w *watch) want(kind, path string) files.Event {
	w.t.Helper()
	late := time.After(patience)
	var seen []files.Event
	for {
		select {
		case e := <-w.events:
			if e.Kind == kind && e.Path == path {
				return e
			}
			seen = append(seen, e)
		case <-late:
			w.t.Fatalf("no %s %q; seen: %q", kind, path, seen[max(0, len(seen)-20):])
		}
	}
}

func TestWatch(t *testing.T) {
	c := newContainer(t)
	c.put(t, "home/d/file", "", 0o600)
	c.put(t, "etc/conf", "", 0o600)
	c.put(t, "home/.cache/x", "", 0o600)
	w := c.watch(t, "/home", "/etc", "/none")
	c.put(t, "home/d/file", "more", 0o600)
	w.want(files.Changed, "/home/d/file")
	c.put(t, "etc/conf", "more", 0o600)
	w.want(files.Changed, "/etc/conf")
	odd := "a\nb\x1b[0m"
	c.put(t, "home/"+odd, "", 0o600)
	w.want(files.Created, "/home/"+odd)
	c.put(t, "home/\xff x", "", 0o600)
	if e := w.want(files.Created, "/home/\xff x"); e.Encoded != "/home/%FF%20x" {
		t.Errorf("encoded as %q", e.Encoded)
	}
	// Directories that come, with what is in them, move and go.
	c.put(t, "home/new/deep/down/file", "", 0o600)
	w.want(files.Created, "/home/new/deep/down/file")
	c.put(t, "home/new/deep/down/file", "again", 0o600)
	w.want(files.Changed, "/home/new/deep/down/file")
	if err := os.Rename(filepath.Join(c.dir, "home/new"), filepath.Join(c.dir, "home/d/moved")); err != nil {
		t.Fatal(err)
	}
	w.want(files.Removed, "/home/new")
	w.want(files.Created, "/home/d/moved")
	c.put(t, "home/d/moved/deep/down/file", "third", 0o600)
	w.want(files.Changed, "/home/d/moved/deep/down/file")
	if err := errors.Join(os.RemoveAll(filepath.Join(c.dir, "home/d")), os.MkdirAll(filepath.Join(c.dir, "home/d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	w.want(files.Changed, "/home/d") // removed and made at once
	c.put(t, "home/d/file", "", 0o600)
	w.want(files.Created, "/home/d/file")
	// Our own way to write: one change, and the temporary file is not told.
	if err := c.write("/home/d/file", "ours"); err != nil {
		t.Fatal(err)
	}
	if e := <-w.events; e.Path != "/home/d/file" {
		t.Errorf("told %q", e)
	}
}

// TestWatchStaysInside: a link out of the directory is not followed, the watched directory's own end is told, and what
// cannot be watched is said at once.
func TestWatchStaysInside(t *testing.T) {
	c := newContainer(t)
	c.put(t, "elsewhere/file", "", 0o600)
	c.put(t, "home/file", "", 0o600)
	c.symlink(t, "/elsewhere", "home/link")
	c.symlink(t, c.outside, "home/host")
	w := c.watch(t, "/home")
	c.put(t, "elsewhere/file", "more", 0o600)
	c.put(t, "home/file", "more", 0o600)
	if e := <-w.events; e.Path != "/home/file" {
		t.Errorf("told %q", e)
	}
	if err := os.RemoveAll(filepath.Join(c.dir, "home")); err != nil {
		t.Fatal(err)
	}
	w.want(files.Gone, "")
	for name, want := range map[string]error{"/none": fs.ErrNotExist, "/proc/self/root": nil} {
		err := c.Watch(t.Context(), name, files.WatchOptions{}, func(files.Event) error { return errors.New("told") })
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// TestWatchFlat tells nothing of what is below.
func TestWatchFlat(t *testing.T) {
	c := newContainer(t)
	c.put(t, "home/d/file", "", 0o600)
	c.put(t, "home/file", "", 0o600)
	done := errors.New("enough")
	var told []files.Event
	wantIs(t, c.Watch(t.Context(), "/home", files.WatchOptions{Flat: true, Also: []string{"/home/d/../d"}}, func(e files.Event) error {
		switch told = append(told, e); len(told) {
		case 1:
			c.put(t, "home/new/file", "", 0o600)
			c.put(t, "home/new/deep/file", "", 0o600)
			c.put(t, "home/d/file", "more", 0o600)
		case 3:
			return done
		}
		return nil
	}), done)
	if want := []files.Event{{Kind: files.Ready}, {Kind: files.Created, Path: "/home/new"}, {Kind: files.Changed, Path: "/home/d/file"}}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestWatchFile tells of files by the names that they were asked for, wherever they lead to.
func TestWatchFile(t *testing.T) {
	c := newContainer(t)
	c.put(t, "home/file", "", 0o600)
	c.put(t, "lib/release", "", 0o600)
	c.put(t, "lib/other", "", 0o600)
	c.put(t, "etc/file", "", 0o600)
	c.symlink(t, "../lib/release", "etc/link")
	w := c.watch(t, "/home", "/etc/link", "/etc/file", "/home/file", "/none/file", "/etc/later")
	c.put(t, "lib/other", "more", 0o600)
	c.put(t, "lib/release", "more", 0o600)
	if e := <-w.events; e.Kind != files.Changed || e.Path != "/etc/link" {
		t.Errorf("told %q", e)
	}
	c.put(t, "etc/file", "more", 0o600)
	w.want(files.Changed, "/etc/file")
	c.put(t, "etc/later", "", 0o600)
	w.want(files.Created, "/etc/later")
	c.put(t, "home/file", "more", 0o600)
	w.want(files.Changed, "/home/file")
	if err := errors.Join(os.Remove(filepath.Join(c.dir, "etc/link")), os.Symlink("file", filepath.Join(c.dir, "etc/link"))); err != nil {
		t.Fatal(err)
	}
	w.want(files.Changed, "/etc/link")
}

func TestWatchIsBounded(t *testing.T) {
	c := newContainer(t)
	for i := range 4200 {
		if err := os.MkdirAll(filepath.Join(c.dir, fmt.Sprintf("home/%d/%d", i/100, i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := c.watch(t, "/home")
	w.want(files.Partial, "")
	c.put(t, "home/after", "", 0o600)
	w.want(files.Created, "/home/after")
}

// TestWatchOverflows: with too much at once it only says so, and goes on.
func TestWatchOverflows(t *testing.T) {
	c := newContainer(t)
	c.put(t, "home/d/file", "", 0o600)
	w := c.watch(t, "/home")
	for i := range 1500 {
		c.put(t, fmt.Sprintf("full/%d.txt", i), "", 0o600)
	}
	if err := os.Rename(filepath.Join(c.dir, "full"), filepath.Join(c.dir, "home/d/full")); err != nil {
		t.Fatal(err)
	}
	w.want(files.Overflow, "")
	c.put(t, "home/after", "", 0o600)
	w.want(files.Created, "/home/after")
}

// TestWatchEndsWithItsListener: an error of the listener ends it, and nothing stays open.
func TestWatchEndsWithItsListener(t *testing.T) {
	c := newContainer(t)
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before, stop := open(), errors.New("the listener has gone")
	for range 20 {
		wantIs(t, c.Watch(t.Context(), "/", files.WatchOptions{}, func(files.Event) error { return stop }), stop)
		ctx, cancel := context.WithCancel(t.Context())
		if err := c.Watch(ctx, "/", files.WatchOptions{}, func(files.Event) error { cancel(); return nil }); err != nil {
			t.Error(err)
		}
	}
	if after := open(); after > before {
		t.Errorf("%d files were open, and are %d", before, after)
	}
}
