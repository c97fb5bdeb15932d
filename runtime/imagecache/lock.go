package imagecache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// locked runs change with the cache's lock. It is held for moments, so waiting for it needs no way out.
func (c *Cache) locked(change func() error) error {
	f, err := flock(filepath.Join(c.dir, lockFile), unix.LOCK_EX)
	if err != nil {
		return fmt.Errorf("lock the image cache: %w", err)
	}
	return errors.Join(change(), f.Close())
}

// flock opens a file, makes it where it is missing, and locks it until it is closed or the process ends.
func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
