// Package files reads and writes the files of a container, as its processes see them: its mounts are crossed,
// its symbolic links resolve against its own root, and no path leaves it.
package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"time"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// Errors that callers decide on; fs.ErrNotExist, fs.ErrExist and fs.ErrPermission are told too.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrIsRoot     = errors.New("the root directory cannot be removed")
)

// Tree is the file tree of one container.
type Tree struct {
	at string // a path that leads to its root, also through /proc
	// Inherit: what Write and Mkdir make belongs to the owner of the directory that it is made in, not to root.
	Inherit bool
}

// Of returns the tree that the process with that PID has as its root: proc(5), /proc/PID/root.
func Of(pid int) *Tree { return &Tree{at: fmt.Sprintf("/proc/%d/root", pid)} }

// At returns the tree of a container that does not run, whose root is mounted at dir.
func At(dir string) *Tree { return &Tree{at: dir} }

// In returns the tree below an open directory, which is not to be closed while the tree is used.
func In(dir *os.File) *Tree { return &Tree{at: fmt.Sprintf("/proc/self/fd/%d", dir.Fd())} }

// Entry describes a file.
type Entry struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"` // file, directory, symlink, device, pipe, socket
	Size    int64     `json:"size"` // bytes
	Mode    string    `json:"mode"` // as ls -l writes it
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	ModTime time.Time `json:"mod_time"`
	Target  string    `json:"target,omitempty"` // of a symbolic link
	// TargetType is the type of what a symbolic link leads to; empty where that is nothing.
	TargetType string `json:"target_type,omitempty"`
	// Encoded is the name as it stands in a URL, where JSON cannot hold it: it is not UTF-8.
	Encoded string `json:"encoded,omitempty"`
}

func (t *Tree) root() (*os.File, error) {
	return os.OpenFile(t.at, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// handle resolves name inside the container; the result is an O_PATH descriptor.
func (t *Tree) handle(name string) (*os.File, error) {
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	h, err := pathrs.OpenatInRoot(root, name)
	if errno := unix.Errno(0); errors.As(err, &errno) { // the library tells of its own calls, too
		err = &fs.PathError{Op: "open", Path: name, Err: errno}
	}
	return h, err
}

// Open opens a regular file or a directory for reading.
func (t *Tree) Open(name string) (*os.File, fs.FileInfo, error) {
	h, err := t.handle(name)
	if err != nil {
		return nil, nil, err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() { // opening a pipe or a device has effects
		return nil, nil, fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	f, err := pathrs.Reopen(h, unix.O_RDONLY|unix.O_CLOEXEC)
	return f, info, err
}

// List returns the entries of a directory, by name.
func (t *Tree) List(name string) ([]Entry, error) { return t.Page(name, "", 0) }

// Page returns at most limit entries of a directory, by name, whose names come after that one. limit 0: all.
func (t *Tree) Page(name, after string, limit int) ([]Entry, error) {
	root, err := t.openRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dir, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	if after != "" {
		dir = dir[sort.Search(len(dir), func(i int) bool { return dir[i].Name() > after }):]
	}
	entries := make([]Entry, 0, len(dir))
	for _, d := range dir {
		if limit > 0 && len(entries) == limit {
			break
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		e := entryOf(info)
		if e.Type == "symlink" {
			e.Target, _ = root.Readlink(d.Name()) // gone meanwhile: no target to show
			e.TargetType = t.kindOf(path.Join("/", name, d.Name()))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// kindOf is the type of what a name leads to; "" where it leads to nothing.
func (t *Tree) kindOf(name string) string {
	h, err := t.handle(name)
	if err != nil {
		return ""
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return ""
	}
	return typeOf(info.Mode())
}

// openRoot opens a directory of the container as one that nothing below can leave.
func (t *Tree) openRoot(name string) (*os.Root, error) {
	h, err := t.handle(name)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	// os.OpenRoot opens before it looks: that waits for ever at a pipe, and at a device has effects.
	if info, err := h.Stat(); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENOTDIR}
	}
	return os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", h.Fd()))
}

// parent opens the directory that holds name, and returns the last part of name.
func (t *Tree) parent(name string) (*os.Root, string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	if base == "" {
		return nil, "", ErrIsRoot
	}
	root, err := t.openRoot(dir)
	return root, base, err
}

// permissions are the bits of a mode that belong to a file, not to its kind.
const permissions = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Write puts all of r into a file: into a new one beside it that then takes its place, so that a reader sees the old or
// the new content and a full disk leaves the old. An existing file's mode and owner are kept; a symbolic link's target
// is written.
func (t *Tree) Write(name string, r io.Reader) error {
	_, err := t.WriteIf(name, r, Condition{})
	return err
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".berth-"

// WriteIf is Write of a file of which c holds, before the first byte is read and again when all are there; else
// ErrChanged, or fs.ErrExist. It returns the new file's information.
func (t *Tree) WriteIf(name string, r io.Reader, c Condition) (fs.FileInfo, error) {
	dir, base, err := t.follow(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	there, err := c.check(dir, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if there != nil && !there.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	mode, uid, gid, err := t.identity(there, dir)
	if err != nil {
		return nil, err
	}
	temp := tempPrefix + rand.Text() // not from base: with more its name may be too long
	f, err := dir.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chown(uid, gid), f.Chmod(mode))
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err == nil {
		err = c.place(dir, temp, base)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Remove(temp))
	}
	return info, nil
}

// place gives a file that was written its name.
func (c Condition) place(dir *os.Root, temp, base string) error {
	if _, err := c.check(dir, base); err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	if c.New {
		return rename(dir, temp, dir, base)
	}
	return dir.Rename(temp, base)
}

// maxLinks is how many symbolic links lead to a file at most: path_resolution(7).
const maxLinks = 40

// follow is parent, of the file that name leads to where it is a symbolic link. The file need not exist.
func (t *Tree) follow(name string) (*os.Root, string, error) {
	at := path.Clean("/" + name)
	for range maxLinks {
		dir, base := path.Split(at)
		if base == "" || base == "." || base == ".." {
			return nil, "", fmt.Errorf("%s: %w", name, ErrNotRegular)
		}
		root, err := t.openRoot(dir)
		if err != nil {
			return nil, "", err
		}
		target, err := root.Readlink(base)
		if err != nil { // not a link, or nothing yet
			return root, base, nil //nolint:nilerr // what is wrong shows when it is used
		}
		_ = root.Close()
		if !path.IsAbs(target) {
			target = dir + target // not cleaned: dir may itself hold links, and .. is the parent of where they lead
		}
		at = target
	}
	return nil, "", &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// Mkdir makes a directory and those above it; one that exists is fine.
func (t *Tree) Mkdir(name string) error {
	root, err := t.root()
	if err != nil {
		return err
	}
	defer root.Close()
	missing, err := t.missing(name)
	if err != nil {
		return err
	}
	h, err := pathrs.MkdirAllHandle(root, name, 0o755)
	if err != nil {
		return err
	}
	return errors.Join(h.Close(), t.bequeath(missing))
}

// Remove removes a file, or a directory with all below it.
func (t *Tree) Remove(name string) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.Lstat(base); err != nil {
		return err
	}
	return dir.RemoveAll(base)
}
