package unpack

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openBeneath opens a name below the layer's directory. Symbolic links are followed as far as they stay beneath it.
func (w *writer) openBeneath(name string, flags uint64) (int, error) {
	how := &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(w.root, name, how)
		// EAGAIN: a rename somewhere raced with ".." (openat2(2)); this tree has no other writer, so it passes.
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// openParent returns a descriptor of the directory, made with its parents where the archive did not list them. It is
// valid until the next call.
func (w *writer) openParent(dir string) (int, error) {
	if dir == "" {
		return w.root, nil
	}
	if w.parent.fd >= 0 && w.parent.name == dir {
		return w.parent.fd, nil
	}
	w.forgetParent()
	fd, err := w.openBeneath(dir, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		if err := w.makeParents(dir); err != nil {
			return -1, err
		}
		fd, err = w.openBeneath(dir, unix.O_PATH|unix.O_DIRECTORY)
	}
	if err != nil {
		return -1, err
	}
	w.parent = parent{name: dir, fd: fd}
	return fd, nil
}

// forgetParent must be called before anything that might be a directory is removed.
func (w *writer) forgetParent() {
	if w.parent.fd >= 0 {
		_ = unix.Close(w.parent.fd)
	}
	w.parent = parent{fd: -1}
}

// makeParents makes the missing directories on the way to dir, as root's with mode 0755: what the lower layers have there
// is not known, for a layer is shared by images.
func (w *writer) makeParents(dir string) error {
	at := ""
	for part := range strings.SplitSeq(dir, "/") {
		up := at
		at = path.Join(at, part)
		fd, err := w.openBeneath(at, unix.O_PATH|unix.O_DIRECTORY)
		if err == nil {
			_ = unix.Close(fd)
			continue
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return err
		}
		upFD := w.root
		if up != "" {
			if upFD, err = w.openBeneath(up, unix.O_PATH|unix.O_DIRECTORY); err != nil {
				return err
			}
		}
		err = w.makeDir(upFD, part, 0o755)
		if upFD != w.root {
			_ = unix.Close(upFD)
		}
		if err != nil {
			return fmt.Errorf("its directory %q cannot be made: %w", at, err)
		}
	}
	return nil
}

// makeDir makes a directory. Where a whiteout stands it becomes an opaque one: the layer removes what was below and puts
// its own there. Anything else in the way is an error.
func (w *writer) makeDir(at int, base string, mode uint32) error {
	err := unix.Mkdirat(at, base, mode)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if kind, err := w.kindOf(at, base); err != nil || kind != kindWhiteout {
		if err == nil {
			err = errors.New("something else has its name")
		}
		return err
	}
	if err := unix.Unlinkat(at, base, 0); err != nil {
		return err
	}
	if err := unix.Mkdirat(at, base, mode); err != nil {
		return err
	}
	return setOpaque(at, base)
}

type kind int

const (
	kindOther kind = iota
	kindNone
	kindDir
	kindWhiteout
)

// kindOf says what stands at a name.
func (w *writer) kindOf(at int, base string) (kind, error) {
	var st unix.Stat_t
	err := unix.Fstatat(at, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return kindNone, nil
	case err != nil:
		return kindOther, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return kindDir, nil
	case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0:
		return kindWhiteout, nil
	}
	return kindOther, nil
}

// clear removes what an earlier entry left at a name, so that the later one counts.
func (w *writer) clear(at int, name string) error {
	err := unix.Unlinkat(at, path.Base(name), 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.EISDIR):
		return err
	}
	return w.tree.RemoveAll(name)
}
