package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// watchMask is what is asked of the kernel: inotify(7).
const watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY | unix.IN_CLOSE_WRITE |
	unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

// silent are file systems that tell no changes, and have many directories.
func silent(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return true
	}
	switch st.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC:
		return true
	}
	return false
}

// number watches an open directory. The same directory has the same number, whatever leads to it.
func (w *watcher) number(dir *os.File) (wd int32, err error) {
	conn, err := w.in.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := conn.Control(func(fd uintptr) { // not closed meanwhile
		var n int
		n, err = unix.InotifyAddWatch(int(fd), fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), watchMask)
		wd = int32(n)
	})
	if err := errors.Join(ctlErr, err); err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	return wd, nil
}

// add watches an open directory, and reports whether that is new.
func (w *watcher) add(dir *os.File, d *watched) (wd int32, isNew bool, err error) {
	if wd, err = w.number(dir); err != nil {
		return 0, false, err
	}
	before := w.dirs[wd]
	w.dirs[wd] = d
	return wd, before == nil || *before != *d, nil
}

func (w *watcher) watchBase() (int32, error) {
	root, err := w.tree.openRoot(w.base)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	wd, _, err := w.add(f, &watched{})
	return wd, err
}

// addAlso watches a directory without those below it, or a file. What is in a directory that is not there is not watched.
func (w *watcher) addAlso(name string) {
	if len(w.dirs) >= maxWatchedDirs {
		w.partial = true
		return
	}
	root, err := w.tree.openRoot(name)
	if err != nil {
		w.addFile(name)
		return
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	if name == w.base || strings.HasPrefix(name, strings.TrimSuffix(w.base, "/")+"/") {
		_, _, _ = w.add(f, &watched{rel: strings.TrimPrefix(strings.TrimPrefix(name, w.base), "/")}) // at worst not watched
		return
	}
	_, _, _ = w.add(f, &watched{alone: name}) // as above
}

// addFile watches a file: where it is, and where it leads to if it is a symbolic link. It need not be there.
func (w *watcher) addFile(name string) {
	for _, find := range []func(string) (*os.Root, string, error){w.tree.parent, w.tree.follow} {
		dir, base, err := find(name)
		if err != nil {
			continue
		}
		if f, err := dir.Open("."); err == nil {
			w.addNamed(f, base, name)
			_ = f.Close()
		}
		_ = dir.Close()
	}
}

// addNamed watches a directory for one file, which is told by the name that it was asked for.
func (w *watcher) addNamed(dir *os.File, base, asked string) {
	wd, err := w.number(dir)
	if err != nil {
		return // at worst not watched
	}
	if w.dirs[wd] == nil {
		w.dirs[wd] = &watched{unseen: true}
	}
	if w.named[wd] == nil {
		w.named[wd] = map[string]string{}
	}
	w.named[wd][base] = asked
}

// descend watches the directories below one of the tree, the nearest first. With tell, all that is found is told: it was
// made before the watch.
func (w *watcher) descend(rel string, tell bool) {
	root, err := w.tree.openRoot(w.base) // not kept open: the kernel would not tell its end
	if err != nil {
		return
	}
	defer root.Close()
	queue := []string{rel}
	for visits := 0; len(queue) > 0; visits++ {
		at := queue[0]
		queue = queue[1:]
		if visits > maxWatchedDirs { // also the end of directories that are moved into each other meanwhile
			w.partial = true
			return
		}
		for _, e := range w.watchOne(root, at) {
			p := path.Join(at, e.Name())
			if tell {
				w.changed(path.Join(w.base, p), Created)
			}
			if e.IsDir() {
				queue = append(queue, p)
			}
		}
	}
}

// watchOne watches a directory below base and returns what is in it; nothing where it is watched already.
func (w *watcher) watchOne(root *os.Root, rel string) []fs.DirEntry {
	name := rel
	if name == "" {
		name = "."
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // gone meanwhile
	}
	defer f.Close()
	if rel != "" {
		if silent(f) {
			return nil
		}
		if len(w.dirs) >= maxWatchedDirs {
			w.partial = true
			return nil
		}
		if _, isNew, err := w.add(f, &watched{rel: rel}); err != nil {
			w.partial = true // the kernel's own limit: inotify(7), max_user_watches
			return nil
		} else if !isNew {
			return nil
		}
	}
	entries, _ := f.ReadDir(-1) // what could be read of it
	return entries
}

// forget ends the watches of a directory that has left its place, and of those below it.
func (w *watcher) forget(rel string) {
	conn, err := w.in.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { // closed: all watches are gone
		for wd, d := range w.dirs {
			if d.alone == "" && !d.unseen && (d.rel == rel || strings.HasPrefix(d.rel, rel+"/")) {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) // gone already
				delete(w.dirs, wd)
			}
		}
	})
}

// take notes the events in b, and reports whether the directory itself is gone.
func (w *watcher) take(b []byte) (gone bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b)) // struct inotify_event
		mask, size := binary.NativeEndian.Uint32(b[4:]), int(binary.NativeEndian.Uint32(b[12:]))
		name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size], "\x00"))
		b = b[unix.SizeofInotifyEvent+size:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			w.full = true
			continue
		}
		gone = gone || wd == w.first && mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0
		w.event(wd, mask, name)
	}
	return gone
}

func (w *watcher) event(wd int32, mask uint32, name string) {
	d := w.dirs[wd]
	if d == nil || mask&unix.IN_IGNORED != 0 {
		delete(w.dirs, wd)
		delete(w.named, wd)
		return
	}
	if name == "" || strings.HasPrefix(name, tempPrefix) {
		return
	}
	if asked := w.named[wd][name]; asked != "" {
		w.changed(asked, kindOf(mask))
	}
	if d.unseen {
		return
	}
	p := w.path(d, name)
	isDir := mask&unix.IN_ISDIR != 0 && d.alone == "" && !w.flat
	rel := path.Join(d.rel, name)
	kind := kindOf(mask)
	w.changed(p, kind)
	switch {
	case isDir && kind == Removed:
		w.forget(rel)
	case isDir && kind == Created:
		w.descend(rel, true)
	}
}

func kindOf(mask uint32) string {
	switch {
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		return Removed
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return Created
	}
	return Changed
}
