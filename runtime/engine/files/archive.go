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
	"syscall"
)

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
