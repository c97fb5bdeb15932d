package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// clear removes what is in the way of an entry, and reports whether a directory is there to be merged with. base is in
// dir; name is for messages.
func (x *extractor) clear(dir *os.Root, base, name string, h *tar.Header) (there bool, err error) {
	info, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	is, wanted := info.IsDir(), h.Typeflag == tar.TypeDir
	full := path.Join(x.dest, name)
	switch {
	case is && wanted:
		return true, nil
	case is && x.options.KeepKinds:
		return false, &KindError{fmt.Sprintf("cannot overwrite directory %q with non-directory %q", full, x.dest)}
	case wanted && x.options.KeepKinds:
		return false, &KindError{fmt.Sprintf("cannot overwrite non-directory %q with directory %q", full, x.dest)}
	}
	return false, dir.RemoveAll(base)
}

// own gives an entry its owner. One that has no number in this sandbox stays root's.
func (x *extractor) own(dir *os.Root, base string, h *tar.Header) error {
	uid, gid := h.Uid, h.Gid
	if o := x.options.Owner; o != nil {
		uid, gid = o.UID, o.GID
	}
	err := dir.Lchown(base, uid, gid)
	if errors.Is(err, unix.EINVAL) { // chown(2) in user_namespaces(7): not mapped
		return nil
	}
	return err
}

func (x *extractor) directory(dir *os.Root, base, name string, h *tar.Header, there bool) error {
	if !there {
		if err := dir.Mkdir(base, 0o700); err != nil {
			return err
		}
	}
	if err := errors.Join(x.own(dir, base, h), dir.Chmod(base, h.FileInfo().Mode()&permissions)); err != nil {
		return err
	}
	x.times = append(x.times, dirTime{name, h.ModTime})
	if !hasAttributes(h) {
		return nil
	}
	f, err := dir.OpenFile(base, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return setAttributes(f, h.PAXRecords)
}

// setTimes gives the directories their times, when nothing more is put into them.
func (x *extractor) setTimes() error {
	for i := len(x.times) - 1; i >= 0; i-- {
		d := x.times[i]
		dir, err := x.open(path.Dir(d.name))
		if err == nil {
			err = touch(dir, path.Base(d.name), d.at)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the container has removed it meanwhile
			return err
		}
	}
	return nil
}

// touch sets the time of what is at base, also of a link.
func touch(dir *os.Root, base string, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	ts, err := unix.TimeToTimespec(at)
	if err != nil {
		return nil // a year that the kernel does not have
	}
	err = unix.UtimesNanoAt(int(d.Fd()), base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "utimensat", Path: base, Err: err}
	}
	return err
}

func (x *extractor) file(dir *os.Root, base string, h *tar.Header, r io.Reader) error {
	f, err := dir.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = x.sparse(f, content{r}, h.Size)
	if err == nil {
		err = errors.Join(x.own(dir, base, h), f.Chmod(h.FileInfo().Mode()&permissions), setAttributes(f, h.PAXRecords))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(base)) // nobody shall take half a file for a whole one
	}
	return touch(dir, base, h.ModTime)
}

// hole is how many zeros become a hole: a block of ext4.
const hole = 4 << 10

// sparse writes size bytes of r, and leaves out blocks of zeros: a file with holes is in a stream with all its zeros.
func (x *extractor) sparse(f *os.File, r io.Reader, size int64) error {
	if x.buf == nil {
		x.buf, x.zeros = make([]byte, 16*hole), make([]byte, hole)
	}
	buf, zeros := x.buf, x.zeros
	for at := int64(0); at < size; {
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), size-at)])
		if err != nil {
			return err
		}
		for from := 0; from < n; {
			to := min(from+hole, n)
			block := buf[from:to]
			if !bytes.Equal(block, zeros[:len(block)]) {
				for to < n && !bytes.Equal(buf[to:min(to+hole, n)], zeros[:min(to+hole, n)-to]) {
					to = min(to+hole, n)
				}
				if _, err := f.WriteAt(buf[from:to], at+int64(from)); err != nil {
					return err
				}
			}
			from = to
		}
		at += int64(n)
	}
	return f.Truncate(size)
}

// link makes a hard link to what stands in the directory, or was brought before.
func (x *extractor) link(dir *os.Root, base string, h *tar.Header) error {
	target, err := below(h.Linkname)
	if err != nil || target == "" {
		return fmt.Errorf("%w: a link to %q", ErrArchive, h.Linkname)
	}
	from, err := x.tree.openRoot(path.Join(x.dest, path.Dir(target)))
	if err != nil {
		return fmt.Errorf("%w: a link to what is not there: %w", ErrArchive, err)
	}
	defer from.Close()
	old, err := from.Open(".")
	if err != nil {
		return err
	}
	defer old.Close()
	at, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer at.Close()
	err = unix.Linkat(int(old.Fd()), path.Base(target), int(at.Fd()), base, 0)
	if err != nil {
		return &os.LinkError{Op: "link", Old: h.Linkname, New: base, Err: err}
	}
	return nil
}

func (x *extractor) fifo(dir *os.Root, base string, h *tar.Header) error {
	at, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer at.Close()
	if err := unix.Mkfifoat(int(at.Fd()), base, 0o600); err != nil {
		return &fs.PathError{Op: "mkfifo", Path: base, Err: err}
	}
	return errors.Join(x.own(dir, base, h), dir.Chmod(base, h.FileInfo().Mode().Perm()), touch(dir, base, h.ModTime))
}

func hasAttributes(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if len(key) > len(paxAttribute) && key[:len(paxAttribute)] == paxAttribute {
			return true
		}
	}
	return false
}
