package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"
)

// Open opens the directory with a volume's data (O_PATH), to read and write in it. It stays what it is until it is closed,
// also when the volume is unmounted or removed meanwhile. ErrFailedPrecondition: the volume has its files only while a
// container runs with it; the message says what to do.
func (s *Store) Open(name string) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if why := e.hidden(); why != "" {
		return nil, errdefs.ErrFailedPrecondition.WithMessage(why)
	}
	return os.OpenFile(e.path(), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// hidden says why the files of a volume cannot be reached now; "" where they can. The lock is held.
func (e *entry) hidden() string {
	if e.mounted {
		return ""
	}
	m, err := parseOptions(e.meta.Options)
	switch {
	case err != nil:
		return fmt.Sprintf("volume %s cannot be mounted: %v", e.meta.Name, err)
	case m.fstype == "tmpfs":
		return fmt.Sprintf("volume %s is in memory (tmpfs): it has files only while a container that mounts it runs. Start one to look into it.",
			e.meta.Name)
	case m.fstype == "none":
		return fmt.Sprintf("volume %s is the directory %s of this machine: look into that, or start a container that mounts the volume.",
			e.meta.Name, m.device)
	}
	return ""
}

// Usage is what a volume has.
type Usage struct {
	volume.Volume
	Size   *int64 // bytes, as `docker system df -v` counts them; nil: not counted in time
	Hidden string // why its files cannot be reached now; "" where they can
}

// Usages describes all volumes, by name. Counting stops when within has passed: of very many files the sizes are not known.
func (s *Store) Usages(ctx context.Context, within time.Duration) ([]Usage, error) {
	s.mu.Lock()
	list := make([]Usage, 0, len(s.volumes))
	entries := make(map[string]*entry, len(s.volumes))
	for name, e := range s.volumes {
		list, entries[name] = append(list, Usage{Volume: s.info(e), Hidden: e.hidden()}), e
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b Usage) int { return strings.Compare(a.Name, b.Name) })
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for i := range list {
		size, err := entries[list[i].Name].size(limited)
		switch {
		case err == nil:
			list[i].Size = &size
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case limited.Err() != nil:
			return list, nil
		case !errors.Is(err, os.ErrNotExist): // removed meanwhile
			return nil, err
		}
	}
	return list, nil
}
