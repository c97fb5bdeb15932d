package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// nobody owns what an image gives to ids that a sandbox does not have.
const nobody = 65534

func (w *writer) directory(h *tar.Header, at int, name string) error {
	base := path.Base(name)
	have, err := w.kindOf(at, base)
	if err != nil {
		return err
	}
	if have == kindOther {
		if err := unix.Unlinkat(at, base, 0); err != nil {
			return err
		}
	}
	if have != kindDir {
		if err := w.makeDir(at, base, 0o700); err != nil {
			return err
		}
	}
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return w.dirMetadata(fd, h, name)
}

func (w *writer) dirMetadata(fd int, h *tar.Header, name string) error {
	uid, gid := w.owner(h)
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := unix.Fchmod(fd, modeOf(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	w.dirs = append(w.dirs, dirTime{name, h.ModTime})
	return w.setXattrs(fd, h)
}

func (w *writer) symlink(h *tar.Header, at int, name string) error {
	base := path.Base(name)
	if h.Linkname == "" || len(h.Linkname) > int(DefaultMaxNameBytes) {
		return &EntryError{h.Name, "its target is empty or too long"}
	}
	// Where it points is the image's affair: nothing here follows it out of the layer.
	if err := w.create(at, name, func() error { return unix.Symlinkat(h.Linkname, at, base) }); err != nil {
		return err
	}
	return w.ownAndTime(h, at, base)
}

func (w *writer) fifo(h *tar.Header, at int, name string) error {
	base := path.Base(name)
	mknod := func() error { return unix.Mknodat(at, base, unix.S_IFIFO|0o600, 0) }
	if err := w.create(at, name, mknod); err != nil {
		return err
	}
	if err := w.ownAndTime(h, at, base); err != nil {
		return err
	}
	return unix.Fchmodat(at, base, modeOf(h), 0) // it is a fifo: no link to follow
}

func (w *writer) hardlink(h *tar.Header, at int, name string) error {
	target, err := cleanName(h.Linkname, w.budgets.Depth)
	if err != nil {
		return &EntryError{h.Name, fmt.Sprintf("refused: its link target %.200q would lead out of the layer", h.Linkname)}
	}
	if target == name {
		return nil // the same file: nothing to do, and clear would remove it
	}
	// The target's directory is opened apart: at is the last parent and must stay open.
	dir := -1
	if up := path.Dir(target); up == "." {
		dir = w.root
	} else {
		dir, err = w.openBeneath(up, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return linkError(h, err)
		}
		defer unix.Close(dir)
	}
	targetBase := path.Base(target)
	if have, err := w.kindOf(dir, targetBase); err != nil || have != kindOther {
		return linkError(h, errors.Join(err, errors.New("not a file of this layer")))
	}
	link := func() error { return unix.Linkat(dir, targetBase, at, path.Base(name), 0) } // 0: a link itself, never through it
	if err := w.create(at, name, link); err != nil {
		return linkError(h, err)
	}
	return nil
}

func linkError(h *tar.Header, err error) error {
	if errors.Is(err, unix.EXDEV) {
		return &EntryError{h.Name, fmt.Sprintf("refused: a symbolic link on the way to its link target %.200q leads out of the layer", h.Linkname)}
	}
	return &EntryError{h.Name, fmt.Sprintf("cannot link to %.200q: %v", h.Linkname, err)}
}

// create calls try, and once more after clearing the name where something has it.
func (w *writer) create(at int, name string, try func() error) error {
	err := try()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := w.clear(at, name); err != nil {
		return err
	}
	return try()
}

// whiteoutEntry turns the archive's form of a removal into overlay's: a character device 0:0 for one name (allowed in a
// user namespace since kernel 5.8), an attribute for all that lower layers have in a directory.
func (w *writer) whiteoutEntry(h *tar.Header, dir, base string) error {
	gone := strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case base == whiteoutOpaque:
		if dir == "" {
			return setOpaqueFD(w, ".")
		}
		if _, err := w.openParent(dir); err != nil {
			return err
		}
		return setOpaqueFD(w, dir)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case gone == "" || gone == "." || gone == "..":
		return &EntryError{h.Name, "refused: it removes no file that could exist"}
	}
	at, err := w.openParent(dir)
	if err != nil {
		return err
	}
	// A whiteout is for lower layers: what this layer itself puts there stays.
	switch have, err := w.kindOf(at, gone); {
	case err != nil:
		return err
	case have == kindDir:
		return setOpaque(at, gone)
	case have != kindNone:
		return nil
	}
	return unix.Mknodat(at, gone, unix.S_IFCHR, 0)
}

// owner returns the owner of an entry, as far as a sandbox has it.
func (w *writer) owner(h *tar.Header) (uid, gid int) {
	uid, gid = h.Uid, h.Gid
	if uid < 0 || uid >= idCount || gid < 0 || gid >= idCount {
		w.note(h.Name, "owner %d:%d is outside of 0…%d and became %d", uid, gid, idCount-1, nobody)
	}
	if uid < 0 || uid >= idCount {
		uid = nobody
	}
	if gid < 0 || gid >= idCount {
		gid = nobody
	}
	return uid, gid
}

func modeOf(h *tar.Header) uint32 { return uint32(h.Mode & 0o7777) } // #nosec G115 -- twelve bits
