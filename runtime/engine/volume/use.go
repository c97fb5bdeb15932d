package volume

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"
)

// Use makes a container refer to a volume, which then cannot be removed, and returns the directory with its data. A volume
// with options is mounted there. Call it when the container is made and each time before it starts.
func (s *Store) Use(name, containerID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(name)
	if err != nil {
		return "", err
	}
	if err := s.mount(e); err != nil {
		return "", err
	}
	e.users[containerID] = struct{}{}
	if _, ok := e.holders[containerID]; !ok {
		e.holders[containerID] = 0
	}
	return e.path(), nil
}

// Place is where a container has a volume.
type Place struct {
	Destination string
	ReadOnly    bool
	Propagation string
}

// Mounted notes, and tells, that a container which uses the volume has started with it.
func (s *Store) Mounted(name, containerID string, p Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.volumes[name]
	if !ok {
		return
	}
	e.holders[containerID]++
	s.events.Publish(eventtypes.VolumeEventType, eventtypes.ActionMount, name, map[string]string{
		"driver": Driver, "container": containerID, "destination": p.Destination,
		"read/write": strconv.FormatBool(!p.ReadOnly), "propagation": p.Propagation,
	})
}

// Stopped notes, and tells, that a container runs no more. It still refers to its volumes; those with options are unmounted
// when no other container needs them.
func (s *Store) Stopped(containerID string) error { return s.leave(containerID, false) }

// Release ends all that a container has of volumes. It is idempotent.
func (s *Store) Release(containerID string) error { return s.leave(containerID, true) }

func (s *Store) leave(containerID string, forget bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, e := range s.volumes {
		times, holds := e.holders[containerID]
		for range times {
			s.events.Publish(eventtypes.VolumeEventType, eventtypes.ActionUnmount, name,
				map[string]string{"driver": Driver, "container": containerID})
		}
		delete(e.holders, containerID)
		if forget {
			delete(e.users, containerID)
		}
		if holds && len(e.holders) == 0 {
			errs = append(errs, e.unmount())
		}
	}
	return errors.Join(errs...)
}

// mount puts what the volume's options ask for on its data. The lock is held.
func (s *Store) mount(e *entry) error {
	m, err := parseOptions(e.meta.Options)
	if err != nil || m.fstype == "" || e.mounted {
		return err
	}
	source := m.device
	if m.fstype == "none" {
		if s.o.HostPath == nil {
			return errdefs.ErrInvalidArgument.WithMessage("volumes with o=bind are not supported here")
		}
		source, err = s.o.HostPath(m.device)
	}
	if err == nil {
		err = mountAt(source, e.path(), m)
	}
	if err != nil {
		return fmt.Errorf("failed to mount local volume: mount %s:%s, flags: %#x, data: %s: %w",
			m.device, e.path(), m.flags, m.data, err)
	}
	e.mounted = true
	return nil
}

// mountAt mounts. A bind mount takes no flags: they are set on it afterwards (mount(2)).
func mountAt(source, target string, m mountSpec) error {
	if m.fstype == "tmpfs" {
		return unix.Mount(source, target, "tmpfs", m.flags, m.data)
	}
	if err := unix.Mount(source, target, "", m.flags&(unix.MS_BIND|unix.MS_REC), ""); err != nil {
		return err
	}
	set := m.flags &^ (unix.MS_BIND | unix.MS_REC)
	if set == 0 {
		return nil
	}
	var st unix.Statfs_t
	err := unix.Statfs(target, &st)
	if err == nil { // flags that a user namespace got are locked, and must be given again
		locked := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		err = unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|set|locked, "")
	}
	if err != nil {
		return errors.Join(err, unix.Unmount(target, unix.MNT_DETACH))
	}
	return nil
}

// unmount takes the mount away, where there is one. The lock is held.
func (e *entry) unmount() error {
	if !e.mounted {
		return nil
	}
	if err := unix.Unmount(e.path(), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount volume %s: %w", e.meta.Name, err)
	}
	e.mounted = false
	return nil
}

// usersOf lists the containers that refer to a volume. The lock is held.
func (e *entry) usersOf() []string { return slices.Sorted(maps.Keys(e.users)) }
