package imagecache

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	holdsFile  = "holds" // of a staging directory: the diff-ids that its writer counts on
	writerLock = "lock"
)

// staging is the directory of one writer.
type staging struct {
	cache *Cache
	dir   string
	lock  *os.File
	next  atomic.Int64
}

// newStaging makes a staging directory, after removing what dead writers left.
func (c *Cache) newStaging() (*staging, error) {
	s := &staging{cache: c}
	err := c.locked(func() error {
		if err := c.recover(); err != nil {
			return err
		}
		dir, err := os.MkdirTemp(filepath.Join(c.dir, stagingDir), "")
		if err != nil {
			return err
		}
		s.dir = dir
		s.lock, err = flock(filepath.Join(dir, writerLock), unix.LOCK_EX)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write to the image cache: %w", err)
	}
	c.emptyTrash()
	return s, nil
}

// path returns a new name in the staging directory.
func (s *staging) path() string {
	return filepath.Join(s.dir, strconv.FormatInt(s.next.Add(1), 10))
}

// hold keeps layers from being collected until the writer is done. Those that the cache has are returned.
func (s *staging) hold(diffIDs []string) (have map[string]bool, err error) {
	have = map[string]bool{}
	err = s.cache.locked(func() error {
		x, err := s.cache.readIndex()
		if err != nil {
			return err
		}
		for _, d := range diffIDs {
			if _, ok := x.Layers[d]; ok {
				have[d] = true
			}
		}
		body, err := json.Marshal(diffIDs)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.dir, holdsFile), body, 0o600)
	})
	return have, err
}

// close ends the writer's holds and removes what it did not finish.
func (s *staging) close() error {
	err := s.cache.locked(func() error { return s.cache.discard(s.dir) })
	err = errors.Join(err, s.lock.Close())
	s.cache.emptyTrash()
	return err
}

// recover needs the lock. It discards the staging directories of writers that are gone, and layers that were moved into
// place by one that was killed before it could say so in the index.
func (c *Cache) recover() error {
	dirs, err := os.ReadDir(filepath.Join(c.dir, stagingDir))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		dir := filepath.Join(c.dir, stagingDir, d.Name())
		lock, err := flock(filepath.Join(dir, writerLock), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // alive
		}
		if err != nil {
			return err
		}
		if err := errors.Join(c.discard(dir), lock.Close()); err != nil {
			return err
		}
	}
	cut, err := filepath.Glob(filepath.Join(c.dir, ".new-*")) // replaceFile's
	if err != nil {
		return err
	}
	for _, f := range cut {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	x, err := c.readIndex()
	if err != nil {
		return err
	}
	if err := c.removeArchives(x); err != nil {
		return err
	}
	layers, err := os.ReadDir(c.LayersDir())
	if err != nil {
		return err
	}
	for _, l := range layers {
		if _, ok := x.Layers["sha256:"+l.Name()]; !ok {
			if err := c.discard(filepath.Join(c.LayersDir(), l.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// heldByWriters needs the lock. It returns the diff-ids that living writers count on.
func (c *Cache) heldByWriters() (map[string]bool, error) {
	held := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(c.dir, stagingDir, "*", holdsFile))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var diffIDs []string
		if err := json.Unmarshal(body, &diffIDs); err != nil {
			continue // cut short by the end of its writer
		}
		for _, d := range diffIDs {
			held[d] = true
		}
	}
	return held, nil
}

// discard moves something into the trash: at once, whatever its size. It goes there under a name that is its own from the
// first moment: a directory made for it could be emptied before it came.
func (c *Cache) discard(path string) error {
	return os.Rename(path, filepath.Join(c.dir, trashDir, rand.Text()))
}

// emptyTrash needs no lock. What it cannot remove now (the child of a killed writer may write for a moment more), the next
// writer will.
func (c *Cache) emptyTrash() {
	items, err := os.ReadDir(filepath.Join(c.dir, trashDir))
	if err != nil {
		return
	}
	for _, i := range items {
		_ = os.RemoveAll(filepath.Join(c.dir, trashDir, i.Name()))
	}
}
