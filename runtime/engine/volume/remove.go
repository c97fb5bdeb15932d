package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/filter"
)

// Remove deletes a volume and its data. ErrNotFound: there is none, and force is not set. ErrConflict: a container uses it,
// force or not.
func (s *Store) Remove(name string, force bool) error {
	s.mu.Lock()
	e, err := s.find(name)
	if err == nil && len(e.users) > 0 {
		err = errdefs.ErrConflict.WithMessage(
			fmt.Sprintf("remove %s: volume is in use - [%s]", name, strings.Join(e.usersOf(), ", ")))
	}
	if err != nil {
		s.mu.Unlock()
		if force && errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
	trash, err := s.unlink(e)
	s.mu.Unlock()
	if err == nil {
		err = os.RemoveAll(trash)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// unlink takes a volume out of the store, and its directory out of the way in one step. The lock is held.
func (s *Store) unlink(e *entry) (trash string, err error) {
	if err := e.unmount(); err != nil {
		return "", err
	}
	trash = filepath.Join(s.dir, removing+randomName())
	if err := os.Rename(e.dir, trash); err != nil {
		return "", err
	}
	delete(s.volumes, e.meta.Name)
	s.events.Publish(eventtypes.VolumeEventType, eventtypes.ActionDestroy, e.meta.Name, map[string]string{"driver": Driver})
	return trash, nil
}

// Prune removes the volumes that nobody uses and that pass the filters: the anonymous ones, or with "all" also the named.
func (s *Store) Prune(ctx context.Context, f filter.Args) (volume.PruneReport, error) {
	report := volume.PruneReport{VolumesDeleted: []string{}}
	if err := f.Only("label", "label!", "all"); err != nil {
		return report, err
	}
	all, err := f.Bool("all", false)
	if err != nil {
		return report, err
	}
	for _, e := range s.unused() {
		_, anonymous := e.meta.Labels[labelAnonymous]
		if !f.Labels(e.meta.Labels) || !anonymous && !all {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return report, err
		}
		size, err := e.size(ctx)
		if err == nil {
			err = s.Remove(e.meta.Name, false)
		}
		switch {
		case errdefs.IsConflict(err), errdefs.IsNotFound(err), errors.Is(err, os.ErrNotExist): // used or removed meanwhile
		case err != nil:
			return report, err
		default:
			report.VolumesDeleted = append(report.VolumesDeleted, e.meta.Name)
			report.SpaceReclaimed += uint64(size)
		}
	}
	s.events.Publish(eventtypes.VolumeEventType, eventtypes.ActionPrune, "",
		map[string]string{"reclaimed": strconv.FormatUint(report.SpaceReclaimed, 10)})
	return report, nil
}

func (s *Store) unused() []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*entry
	for _, e := range s.volumes {
		if len(e.users) == 0 {
			list = append(list, e)
		}
	}
	return list
}
