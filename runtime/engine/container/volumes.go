package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	api "github.com/moby/moby/api/types/container"
	apimount "github.com/moby/moby/api/types/mount"
	apivolume "github.com/moby/moby/api/types/volume"
)

// planMounts lists what is to be mounted in a container, one at each destination: what --volumes-from brings, then -v and
// --mount, which take its place, then the volumes of the configuration where nothing else is.
func (m *Manager) planMounts(c *api.Config, h *api.HostConfig) ([]*mountPoint, error) {
	at := map[string]*mountPoint{}
	for _, from := range h.VolumesFrom {
		if err := m.volumesFrom(from, at); err != nil {
			return nil, err
		}
	}
	asked := map[string]bool{}
	add := func(p *mountPoint) error {
		if _, tmpfs := h.Tmpfs[p.Destination]; tmpfs || asked[p.Destination] {
			return invalid("Duplicate mount point: %s", p.Destination)
		}
		asked[p.Destination], at[p.Destination] = true, p
		return nil
	}
	for _, raw := range h.Binds {
		p, err := parseBind(raw, h.VolumeDriver)
		if err != nil {
			return nil, err
		}
		if err := add(p); err != nil {
			return nil, err
		}
	}
	for _, spec := range h.Mounts {
		p, err := newMountPoint(spec)
		if err != nil {
			return nil, err
		}
		if err := m.checkSource(p); err != nil {
			return nil, err
		}
		if err := add(p); err != nil {
			return nil, err
		}
	}
	for dest := range c.Volumes {
		if err := configVolume(dest, h, at); err != nil {
			return nil, err
		}
	}
	list := slices.Collect(maps.Values(at))
	slices.SortFunc(list, func(a, b *mountPoint) int { return strings.Compare(a.Destination, b.Destination) })
	return list, nil
}

// configVolume adds an anonymous volume that the image or -v DESTINATION asks for.
func configVolume(dest string, h *api.HostConfig, at map[string]*mountPoint) error {
	p, err := newMountPoint(apimount.Mount{Type: apimount.TypeVolume, Target: path.Clean("/" + dest)})
	if err != nil {
		return err
	}
	_, tmpfs := h.Tmpfs[p.Destination]
	if _, taken := at[p.Destination]; !taken && !tmpfs {
		at[p.Destination] = p
	}
	return nil
}

// volumesFrom adds another container's mounts: CONTAINER[:ro|rw].
func (m *Manager) volumesFrom(spec string, at map[string]*mountPoint) error {
	ref, mode, _ := strings.Cut(spec, ":")
	if ref == "" {
		return invalid("volumes-from specification cannot be an empty string")
	}
	if mode != "" && !validMode(mode) {
		return invalid("invalid mode: %s", mode)
	}
	other, err := m.Get(ref)
	if err != nil {
		return invalid("%v", err) // not 404: clients would pull the image
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	for _, p := range other.rec.Mounts {
		if p.Type == apimount.TypeTmpfs {
			continue
		}
		own := *p
		own.Own = false // it is removed with the container that it was made for
		if mode != "" {
			own.Mode = mode
		}
		own.RW = p.RW && !slices.Contains(strings.Split(mode, ","), "ro")
		at[own.Destination] = &own
	}
	return nil
}

// checkSource looks for the source of a --mount, which is not made.
func (m *Manager) checkSource(p *mountPoint) error {
	if p.Type != apimount.TypeBind || p.Make {
		return nil
	}
	from, err := m.HostPath(p.Source)
	if err == nil {
		_, err = os.Stat(from)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return invalid("invalid mount config for type \"bind\": bind source path does not exist: %s", p.Source)
	}
	return err
}

// HostPath is where the engine finds a path of the workspace. Links are followed below the workspace's root.
func (m *Manager) HostPath(p string) (string, error) {
	w := m.o.Workspace
	found, err := securejoin.SecureJoin(w.Rootfs, p)
	if err != nil {
		return "", err
	}
	inside := "/" + strings.TrimPrefix(strings.TrimPrefix(found, path.Clean(w.Rootfs)), "/")
	best := ""
	for at := range w.Mounts {
		if (inside == at || strings.HasPrefix(inside, at+"/")) && len(at) > len(best) {
			best = at
		}
	}
	if best == "" {
		return found, nil
	}
	if inside == best {
		return w.Mounts[best], nil
	}
	return securejoin.SecureJoin(w.Mounts[best], strings.TrimPrefix(inside, best))
}

// makeVolumes makes the volumes of a container that are not there, and refers to all of them.
func (m *Manager) makeVolumes(c *Container) error {
	for _, p := range c.rec.Mounts {
		if p.Type != apimount.TypeVolume {
			continue
		}
		r := apivolume.CreateRequest{Name: p.Name, Driver: p.Driver}
		if o := p.Spec.VolumeOptions; o != nil {
			r.Labels = o.Labels
			if o.DriverConfig != nil {
				r.DriverOpts = o.DriverConfig.Options
			}
		}
		v, err := m.o.Volumes.Create(r)
		if err != nil {
			return err
		}
		p.Name = v.Name
		if p.Source, err = m.o.Volumes.Use(p.Name, c.id); err != nil {
			return err
		}
	}
	return nil
}

// populate copies what the image has at the volumes' places into those that are new.
func (m *Manager) populate(ctx context.Context, c *Container) (err error) {
	if !slices.ContainsFunc(c.rec.Mounts, func(p *mountPoint) bool { return p.Type == apimount.TypeVolume && p.Copy }) {
		return nil
	}
	if err := c.mountRoot(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := detached(ctx)
		defer cancel()
		err = errors.Join(err, c.unmountRoot(ctx))
	}()
	for _, p := range c.rec.Mounts {
		if p.Type != apimount.TypeVolume || !p.Copy || p.Spec.VolumeOptions != nil && p.Spec.VolumeOptions.Subpath != "" {
			continue
		}
		from, err := securejoin.SecureJoin(c.rootfs(), p.Destination)
		if err != nil {
			return err
		}
		if info, err := os.Stat(from); err != nil || !info.IsDir() {
			continue // the image has nothing there
		}
		if err := m.o.Volumes.Populate(ctx, p.Name, from); err != nil {
			return fmt.Errorf("copy the image's files to volume %s: %w", p.Name, err)
		}
	}
	return nil
}

// removeVolumes removes the volumes that were made for a container alone.
func (m *Manager) removeVolumes(c *Container) {
	for _, p := range c.rec.Mounts {
		if p.Type == apimount.TypeVolume && p.Own {
			m.warn(c, "anonymous volume is not removed", m.o.Volumes.Remove(p.Name, true))
		}
	}
}
