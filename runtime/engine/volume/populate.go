package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"
)

// Populate copies what an image has at a volume's mount point, the directory from, into the volume, with owners, modes,
// times, extended attributes, hard and symbolic links. A volume that has anything in it already is left as it is, and so is
// one whose image has nothing there. As in Docker the volume's own directory gets from's owner and mode. A container must Use
// the volume, so that it is not removed meanwhile.
func (s *Store) Populate(ctx context.Context, name, from string) error {
	if info, err := os.Stat(from); err != nil || !info.IsDir() {
		return nil // the image has no directory there: runc makes it
	}
	s.mu.Lock()
	e, err := s.find(name)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	e.filling.Lock() // two containers that start at once with a new volume: one fills it, the other waits
	defer e.filling.Unlock()
	content, err := os.ReadDir(e.path())
	if err != nil || len(content) > 0 {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := fs.CopyDir(e.path(), from, fs.WithXAttrErrorHandler(tolerate)); err != nil {
		return errors.Join(fmt.Errorf("copy image content into volume %s: %w", name, err), clearDir(e.path()))
	}
	return nil
}

// tolerate lets attributes go that a file system does not have, or that only the host's root may set.
func tolerate(_, _, key string, err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) && !strings.HasPrefix(key, "user.") {
		return nil
	}
	return err
}

// clearDir removes all that is in a directory.
func clearDir(dir string) error {
	content, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range content {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, c.Name())))
	}
	return errors.Join(errs...)
}
