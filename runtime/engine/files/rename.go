package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of Rename; fs.ErrExist where there is something at the new name.
var (
	ErrIntoItself  = errors.New("a directory cannot be moved into itself")
	ErrOtherVolume = errors.New("it is on another file system, or a folder of the image: use mv in the shell")
)

// Rename gives what is at name another name, links themselves and not what they lead to. Nothing is replaced.
func (t *Tree) Rename(name, to string) error {
	from, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer from.Close()
	dest, newBase, err := t.parent(to)
	if err != nil {
		return err
	}
	defer dest.Close()
	err = rename(from, base, dest, newBase)
	switch {
	case errors.Is(err, unix.EXDEV): // also overlayfs, for directories of lower layers
		return fmt.Errorf("%s: %w", name, ErrOtherVolume)
	case errors.Is(err, unix.EINVAL) && strings.HasPrefix(path.Clean("/"+to)+"/", path.Clean("/"+name)+"/"):
		return fmt.Errorf("%s: %w", name, ErrIntoItself)
	case err != nil:
		return &fs.PathError{Op: "rename", Path: name, Err: err}
	}
	return nil
}

// rename is renameat2(2), which os.Root has not: it fails where there is something.
func rename(from *os.Root, base string, dest *os.Root, newBase string) error {
	old, err := from.Open(".")
	if err != nil {
		return err
	}
	defer old.Close()
	at, err := dest.Open(".")
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.Renameat2(int(old.Fd()), base, int(at.Fd()), newBase, unix.RENAME_NOREPLACE)
}
