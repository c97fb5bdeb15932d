package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of Extract; each is Docker's sentence.
var (
	ErrNotDirectory   = errors.New("extraction point is not a directory")
	ErrReadOnlyRoot   = errors.New("container rootfs is marked read-only")
	ErrReadOnlyVolume = errors.New("mounted volume is marked read-only")
)

// KindError says that an archive has a directory where something else is, or the other way round.
type KindError struct{ message string }

func (e *KindError) Error() string { return e.message }

// ExtractOptions are those of Docker's API.
type ExtractOptions struct {
	// KeepKinds refuses to replace a directory by something else, and the other way round: noOverwriteDirNonDir.
	KeepKinds bool
	// Owner has all that is made; nil: who the archive says.
	Owner *Owner
}

// Owner is a user and a group, as numbers.
type Owner struct{ UID, GID int }

// Extract unpacks a tar stream, which may be compressed, into a directory, as `docker cp` does: names are resolved against the container's root, so
// that links of the container lead where its processes would get, and nothing leads out. Devices are left out: a sandbox
// cannot make any. What was unpacked before an error stays.
func (t *Tree) Extract(name string, r io.Reader, o ExtractOptions) error {
	dest := path.Clean("/" + name)
	if err := t.extractionPoint(dest); err != nil {
		return err
	}
	x := &extractor{tree: t, dest: dest, options: o}
	defer x.close()
	plain, done, err := decompress(r)
	if err != nil {
		return err
	}
	defer done()
	tr := tar.NewReader(plain)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return x.setTimes()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if err := x.entry(h, tr); leaves(err) {
			return fmt.Errorf("%w: unpack %q: %w", ErrArchive, h.Name, err)
		} else if err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
}

// extractionPoint checks that dest is a directory that can be written.
func (t *Tree) extractionPoint(dest string) error {
	h, err := t.handle(dest)
	if err != nil {
		return err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return ErrNotDirectory
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(h.Fd()), &st); err != nil {
		return err
	}
	if st.Flags&unix.ST_RDONLY == 0 {
		return nil
	}
	root, err := t.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if a, b := mountOf(root), mountOf(h); a != b {
		return ErrReadOnlyVolume
	}
	return ErrReadOnlyRoot
}

// mountOf is the number of the mount that an open file is on: kernel 5.8.
func mountOf(f *os.File) uint64 {
	var st unix.Statx_t
	if unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) != nil {
		return 0
	}
	return st.Mnt_id
}

// extractor unpacks one stream.
type extractor struct {
	tree    *Tree
	dest    string
	options ExtractOptions

	at    string // of the directory that is open, below dest
	dir   *os.Root
	buf   []byte
	zeros []byte
	times []dirTime // of directories, which change again when something is put into them
}

type dirTime struct {
	name string
	at   time.Time
}

func (x *extractor) close() {
	if x.dir != nil {
		_ = x.dir.Close() // nothing is lost
		x.dir = nil
	}
}

// open opens a directory below dest, and makes it where it is missing.
func (x *extractor) open(name string) (*os.Root, error) {
	if x.dir != nil && x.at == name {
		return x.dir, nil
	}
	x.close()
	full := path.Join(x.dest, name)
	dir, err := x.tree.openRoot(full)
	if errors.Is(err, fs.ErrNotExist) {
		if err := x.tree.Mkdir(full); err != nil {
			return nil, err
		}
		if dir, err = x.tree.openRoot(full); err == nil && x.options.Owner != nil {
			err = dir.Lchown(".", x.options.Owner.UID, x.options.Owner.GID)
		}
	}
	if err != nil {
		return nil, err
	}
	x.dir, x.at = dir, name
	return dir, nil
}

// below is the name of an entry below the directory it is unpacked to; empty: that itself.
func below(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%w: a name that leads out of the directory", ErrArchive)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// entry unpacks one entry.
func (x *extractor) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := below(h.Name)
	if err != nil || name == "" {
		return err
	}
	if h.Typeflag == tar.TypeLink && path.Clean("/"+h.Linkname) == "/"+name {
		return nil // to itself
	}
	dir, err := x.open(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	there, err := x.clear(dir, base, name, h)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return x.file(dir, base, h, r)
	case tar.TypeDir:
		return x.directory(dir, base, name, h, there)
	case tar.TypeSymlink:
		if err := dir.Symlink(h.Linkname, base); err != nil {
			return err
		}
		return errors.Join(x.own(dir, base, h), touch(dir, base, h.ModTime))
	case tar.TypeLink:
		return x.link(dir, base, h)
	case tar.TypeFifo:
		return x.fifo(dir, base, h)
	case tar.TypeBlock, tar.TypeChar:
		return nil
	}
	return fmt.Errorf("%w: an entry of type %q", ErrArchive, h.Typeflag)
}
