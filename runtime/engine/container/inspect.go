package container

import (
	"context"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/storage"

	"berth/runtime/engine/oci"
)

// driverName is what clients are told of how files are stored.
const driverName = "overlay2"

// Inspect tells all there is to know of a container.
func (m *Manager) Inspect(ctx context.Context, ref string, size bool) (api.InspectResponse, error) {
	c, err := m.settled(ctx, ref)
	if err != nil {
		return api.InspectResponse{}, err
	}
	execs := m.execsOf(c)
	r := c.inspect(execs)
	if size {
		rw, root, err := m.o.Images.RootUsage(ctx, c.id)
		if err != nil {
			return r, err
		}
		r.SizeRw, r.SizeRootFs = &rw, &root
	}
	return r, nil
}

func (c *Container) inspect(execs []string) api.InspectResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	host := *c.host
	if !host.Privileged {
		host.MaskedPaths, host.ReadonlyPaths = oci.MaskedPaths(c.host), oci.ReadonlyPaths(c.host)
	}
	etc := c.etc()
	r := api.InspectResponse{
		ID: c.id, Created: c.rec.Created.Format(time.RFC3339Nano), Path: c.rec.Path, Args: c.rec.Args, State: c.rec.State.inspect(),
		Image: c.rec.ImageID, LogPath: c.LogPath(), Name: "/" + c.rec.Name, RestartCount: c.rec.RestartCount,
		ResolvConfPath: etc["resolv.conf"], HostsPath: etc["hosts"], HostnamePath: etc["hostname"],
		Driver: driverName, Platform: "linux", ExecIDs: execs, HostConfig: &host, Config: c.rec.Config,
		GraphDriver: &storage.DriverData{Name: driverName, Data: map[string]string{"MergedDir": c.rootfs()}},
		Mounts:      make([]api.MountPoint, 0, len(c.rec.Mounts)),
		NetworkSettings: &api.NetworkSettings{
			Ports: c.portMap(), Networks: c.endpoints(),
		},
	}
	for _, p := range c.rec.Mounts {
		r.Mounts = append(r.Mounts, p.api())
	}
	if c.run != nil {
		r.NetworkSettings.SandboxKey = c.run.netns
		r.NetworkSettings.SandboxID = c.run.sandbox
	}
	return r
}

// execsOf are the IDs of the processes that have joined a container and run.
func (m *Manager) execsOf(c *Container) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []string
	for id, e := range m.execs {
		if e.container != c {
			continue
		}
		e.mu.Lock()
		if e.running {
			ids = append(ids, id)
		}
		e.mu.Unlock()
	}
	return ids
}
