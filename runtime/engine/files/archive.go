package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// WriteTar writes a directory, or one file, as a tar stream. Sockets are left out, as tar(1) does, and so is what the
// kernel makes up below the directory: proc and its like. A file that shrinks meanwhile is an error; one that grows is cut
// at the size it had.
func (t *Tree) WriteTar(name string, w io.Writer) error {
	dir, base, err := t.archiveRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	tw := tar.NewWriter(w)
	err = pack(tw, dir, base, map[uint64]bool{})
	return errors.Join(err, tw.Close())
}

// pack adds what is at p and below. fs.WalkDir would refuse names that are not UTF-8. madeUp is isMadeUp's.
func pack(tw *tar.Writer, dir *os.Root, p string, madeUp map[uint64]bool) error {
	if p != "." {
		if err := addToTar(tw, dir, p); err != nil {
			return err
		}
	}
	info, err := dir.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil || !info.IsDir() || isMadeUp(dir, p, madeUp) {
		return err
	}
	f, err := dir.OpenFile(p, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := pack(tw, dir, path.Join(p, name), madeUp); err != nil {
			return err
		}
	}
	return nil
}

// isMadeUp reports whether a directory is of a file system whose files are the kernel's answers. known holds what has been
// found out, by device.
func isMadeUp(dir *os.Root, p string, known map[uint64]bool) bool {
	info, err := dir.Lstat(p)
	if err != nil {
		return false // removed meanwhile
	}
	device := info.Sys().(*unixStat).Dev
	if p == "." {
		known[device] = false // it was asked for
	}
	if is, ok := known[device]; ok {
		return is
	}
	f, err := dir.OpenFile(p, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	switch st.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		known[device] = true
	default:
		known[device] = false
	}
	return known[device]
}

func (t *Tree) archiveRoot(name string) (*os.Root, string, error) {
	f, info, err := t.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if !info.IsDir() {
		return t.parent(name)
	}
	root, err := t.openRoot(name)
	return root, ".", err
}

func addToTar(tw *tar.Writer, dir *os.Root, p string) error {
	info, err := dir.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil || info.Mode().Type() == fs.ModeSocket {
		return err
	}
	var target string
	if info.Mode().Type() == fs.ModeSymlink {
		if target, err = dir.Readlink(p); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = p, "", "", tar.FormatPAX
	if info.IsDir() {
		h.Name += "/"
	}
	if !info.Mode().IsRegular() {
		return tw.WriteHeader(h)
	}
	f, err := dir.OpenFile(p, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a pipe meanwhile
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(tw, f, h.Size)
	return err
}

// ReadTar unpacks a tar stream into a directory. Names that would leave it are refused, and so is what is neither a
// file, a directory nor a link. What was unpacked before an error stays.
func (t *Tree) ReadTar(name string, r io.Reader) error {
	dir, err := t.openRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if err := unpack(dir, h, tr); leaves(err) {
			return fmt.Errorf("%w: unpack %q: %w", ErrArchive, h.Name, err)
		} else if err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
}

// ErrArchive is wrapped by errors about the tar stream itself.
var ErrArchive = errors.New("not a readable tar archive")

// leaves reports whether an error is os.Root's about a path that leads out of the directory: its only one that is not
// the kernel's, and that it does not export.
func leaves(err error) bool {
	var failed *fs.PathError
	var link *os.LinkError
	var cause error
	switch {
	case errors.As(err, &failed):
		cause = failed.Err
	case errors.As(err, &link):
		cause = link.Err
	default:
		return false
	}
	return !errors.As(cause, new(syscall.Errno)) && !errors.Is(cause, fs.ErrClosed)
}

func unpack(dir *os.Root, h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // git-archive(1) notes the commit in one
		return nil
	}
	p, err := localName(h.Name)
	if err != nil || p == "" {
		return err
	}
	if parent := path.Dir(p); parent != "." {
		if err := dir.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	mode := h.FileInfo().Mode() & permissions
	switch h.Typeflag {
	case tar.TypeDir:
		if err := dir.MkdirAll(p, 0o755); err != nil {
			return err
		}
	case tar.TypeReg:
		if err := replace(dir, p, r, mode.Perm()); err != nil {
			return err
		}
	case tar.TypeSymlink:
		_ = dir.Remove(p)
		if err := dir.Symlink(h.Linkname, p); err != nil {
			return err
		}
		return dir.Lchown(p, h.Uid, h.Gid)
	case tar.TypeLink:
		return link(dir, h.Linkname, p)
	default:
		return fmt.Errorf("%w: an entry of type %q", ErrArchive, h.Typeflag)
	}
	return errors.Join(dir.Lchown(p, h.Uid, h.Gid), dir.Chmod(p, mode), dir.Chtimes(p, h.ModTime, h.ModTime))
}

// localName returns a name of an archive as one below a directory; empty for the directory itself.
func localName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: a name with \"..\"", ErrArchive)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// link makes a hard link to what the archive has brought before.
func link(dir *os.Root, target, p string) error {
	target, err := localName(target)
	if err != nil || target == p {
		return err
	}
	_ = dir.Remove(p)
	err = dir.Link(target, p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: a link to what is not there: %w", ErrArchive, err)
	}
	return err
}

// replace writes a file. Half a file is removed: nobody shall take it for a whole one.
func replace(dir *os.Root, p string, r io.Reader, mode fs.FileMode) error {
	_ = dir.Remove(p) // never write through a link
	f, err := dir.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content{r})
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(p))
	}
	return nil
}

// content is what an archive holds of a file: failing to read it is the archive's fault, not the disk's.
type content struct{ io.Reader }

func (c content) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return n, err
}
