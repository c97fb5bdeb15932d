package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// holeBytes is the unit in which runs of zeros become holes: the block of most file systems.
const holeBytes = 4096

// zeros is only compared with.
var zeros [holeBytes]byte

func (w *writer) file(h *tar.Header, at int, name string, content io.Reader) error {
	if h.Size > w.budgets.FileBytes {
		return &BudgetError{Budget: BudgetFileBytes, Limit: w.budgets.FileBytes, Entry: h.Name}
	}
	// A sparse entry is longer than its part of the stream, which is all that the parent counts.
	if h.Size > w.budgets.Bytes-w.bytes {
		return &BudgetError{Budget: BudgetBytes, Limit: w.budgets.Bytes}
	}
	w.bytes += h.Size
	var f *os.File
	err := w.create(at, name, func() error {
		fd, err := unix.Openat(at, path.Base(name), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = w.fill(f, h, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return unix.UtimesNanoAt(at, path.Base(name), times(h.ModTime), unix.AT_SYMLINK_NOFOLLOW)
}

func (w *writer) fill(f *os.File, h *tar.Header, content io.Reader) error {
	if err := w.copySparse(f, content, h.Size); err != nil {
		return err
	}
	fd := int(f.Fd())
	uid, gid := w.owner(h)
	// Owner first: a change of it clears setuid and capabilities (chown(2)).
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := unix.Fchmod(fd, modeOf(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return w.setXattrs(fd, h)
}

// copySparse writes size bytes and leaves holes where whole blocks are zero.
func (w *writer) copySparse(f *os.File, content io.Reader, size int64) error {
	var at int64
	hole := false
	for at < size {
		n, err := io.ReadFull(content, w.buf[:min(int64(len(w.buf)), size-at)])
		if err != nil {
			return noEOF(err)
		}
		for block := w.buf[:n]; len(block) > 0; {
			run, isHole := nextRun(block)
			if !isHole {
				if _, err := f.WriteAt(block[:run], at); err != nil {
					return err
				}
			}
			at, block, hole = at+int64(run), block[run:], isHole
		}
	}
	if hole {
		return f.Truncate(size)
	}
	return nil
}

// nextRun returns how many of the first bytes belong together as data, or as a hole.
func nextRun(b []byte) (int, bool) {
	isHole := func(b []byte) bool { return len(b) >= holeBytes && [holeBytes]byte(b[:holeBytes]) == zeros }
	first, n := isHole(b), 0
	for n < len(b) && isHole(b[n:]) == first {
		n += min(holeBytes, len(b)-n)
	}
	return n, first
}

// noEOF: the end of the stream in the middle of a file is never an end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ownAndTime is for what has no descriptor: links and fifos.
func (w *writer) ownAndTime(h *tar.Header, at int, base string) error {
	uid, gid := w.owner(h)
	if err := unix.Fchownat(at, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return unix.UtimesNanoAt(at, base, times(h.ModTime), unix.AT_SYMLINK_NOFOLLOW)
}

func (w *writer) setDirTime(d dirTime) {
	fd, err := w.openBeneath(d.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return // a later entry replaced it
	}
	defer unix.Close(fd)
	_ = unix.UtimesNanoAt(fd, ".", times(d.time), 0) // a directory of ours: cannot fail but for the disk
}

func times(t time.Time) []unix.Timespec {
	ts := unix.NsecToTimespec(t.UnixNano())
	return []unix.Timespec{ts, ts}
}

const (
	paxXattr        = "SCHILY.xattr." // as tar(1) and archive/tar write them
	xattrCapability = "security.capability"
	xattrOpaque     = "user.overlay.opaque"
)

// setXattrs sets the attributes that mean something in a sandbox: user.* and file capabilities, which the kernel binds to
// the layer's own root (version 3) as this process is root of a user namespace only. user.overlay.* would be orders to
// the overlay mount, which only this package gives.
func (w *writer) setXattrs(fd int, h *tar.Header) error {
	total := int64(0)
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok {
			continue
		}
		if total += int64(len(name) + len(value)); total > DefaultMaxXattrBytes {
			return &EntryError{h.Name, fmt.Sprintf("its extended attributes hold more than %d bytes", DefaultMaxXattrBytes)}
		}
		wanted := name == xattrCapability || (strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay."))
		if !wanted {
			w.note(h.Name, "extended attribute %.100q left out", name)
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			if name == xattrCapability {
				return fmt.Errorf("set %s: %w", name, err)
			}
			w.note(h.Name, "extended attribute %.100q left out: %v", name, err)
		}
	}
	return nil
}

// setOpaque marks the directory base in at.
func setOpaque(at int, base string) error {
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, xattrOpaque, []byte("y"), 0)
}

// setOpaqueFD marks a directory by its name below the layer's root.
func setOpaqueFD(w *writer, name string) error {
	fd, err := w.openBeneath(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, xattrOpaque, []byte("y"), 0)
}
