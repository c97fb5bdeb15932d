package volume

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/moby/api/types/volume"
)

// DiskUsage describes all volumes with their sizes in bytes and how many containers use them: `docker system df -v`.
func (s *Store) DiskUsage(ctx context.Context) ([]volume.Volume, error) {
	s.mu.Lock()
	list := make([]volume.Volume, 0, len(s.volumes))
	entries := make(map[string]*entry, len(s.volumes))
	for name, e := range s.volumes {
		v := s.info(e)
		v.UsageData = &volume.UsageData{RefCount: int64(len(e.users))}
		list, entries[name] = append(list, v), e
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b volume.Volume) int { return strings.Compare(a.Name, b.Name) })
	for i := range list {
		size, err := entries[list[i].Name].size(ctx)
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			size, err = -1, nil
		}
		if err != nil {
			return nil, err
		}
		list[i].UsageData.Size = size
	}
	return list, nil
}

// size adds up the files' lengths, as Docker does; a file of several names counts once. A directory of the workspace that is
// mounted as a volume counts as nothing: its bytes are counted there.
func (e *entry) size(ctx context.Context) (int64, error) {
	if t := e.meta.Options["type"]; t != "" && t != "tmpfs" {
		return 0, nil
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	var size int64
	err := filepath.WalkDir(e.path(), func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) && path != e.path() {
			return nil // a container deleted it
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			id := inode{st.Dev, st.Ino}
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		size += info.Size()
		return nil
	})
	return size, err
}
