package container

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	apinet "github.com/moby/moby/api/types/network"
)

// CreateOptions is a request for a container.
type CreateOptions struct {
	Name string // "": one is made up
	api.CreateRequest

	// MacAddress is that of the interface in the network of the mode; clients before API 1.44 say it so.
	MacAddress apinet.HardwareAddr
}

// Create makes a container. What fails leaves nothing.
func (m *Manager) Create(ctx context.Context, o CreateOptions) (r api.CreateResponse, err error) {
	if o.Config == nil {
		return r, invalid("config cannot be empty in order to create a container")
	}
	if o.HostConfig == nil {
		o.HostConfig = &api.HostConfig{}
	}
	if err := checkConfig(o.Config); err != nil {
		return r, err
	}
	if r.Warnings, err = m.checkHost(o.HostConfig); err != nil {
		return r, err
	}
	image, err := m.o.Images.Get(ctx, o.Image)
	if err != nil {
		return r, err
	}
	if err := merge(o.Config, image.Config.Config); err != nil {
		return r, err
	}
	c := &Container{id: newID(), manager: m, host: o.HostConfig, unlogged: o.HostConfig.LogConfig.Type == noLog}
	c.rec = record{ID: c.id, Created: time.Now().UTC(), ImageID: image.ID, Config: o.Config}
	if c.rec.Path, c.rec.Args, err = command(o.Config); err != nil {
		return r, err
	}
	if err := m.adapt(c, o); err != nil {
		return r, err
	}
	if c.rec.Mounts, err = m.planMounts(o.Config, o.HostConfig); err != nil {
		return r, err
	}
	if c.rec.Name, err = m.reserveName(o.Name, c.id); err != nil {
		return r, err
	}
	if err := m.make(ctx, c); err != nil {
		m.releaseName(c.rec.Name, c.id)
		return r, err
	}
	m.add(c)
	m.publish(c, events.ActionCreate, nil)
	if r.Warnings == nil {
		r.Warnings = []string{} // clients want a list
	}
	r.ID = c.id
	return r, nil
}

// adapt completes the request with what Docker makes of what was left out.
func (m *Manager) adapt(c *Container, o CreateOptions) error {
	h, conf := c.host, c.rec.Config
	if h.RestartPolicy.Name == "" {
		h.RestartPolicy.Name = api.RestartPolicyDisabled
	}
	if h.ShmSize == 0 {
		h.ShmSize = defaultShm
	}
	if h.IpcMode == "" {
		h.IpcMode = api.IPCModePrivate
	}
	if h.CgroupnsMode == "" {
		h.CgroupnsMode = api.CgroupnsModePrivate
	}
	if h.Runtime == "" {
		h.Runtime = runtimeName
	}
	if h.Memory > 0 && h.MemorySwap == 0 {
		h.MemorySwap = 2 * h.Memory
	}
	if err := m.resolveModes(h); err != nil {
		return err
	}
	if err := c.setEndpoints(o.NetworkingConfig); err != nil {
		return err
	}
	if e := c.rec.Endpoints[string(h.NetworkMode)]; e != nil && len(e.MacAddress) == 0 {
		e.MacAddress = o.MacAddress
	}
	if conf.Hostname == "" && !h.NetworkMode.IsContainer() {
		conf.Hostname = shortID(c.id)
		if h.NetworkMode.IsHost() || h.UTSMode.IsHost() {
			conf.Hostname = m.o.Workspace.Hostname
		}
	}
	return nil
}

// resolveModes replaces the names of other containers, whose namespaces are to be shared, by IDs.
func (m *Manager) resolveModes(h *api.HostConfig) error {
	for _, mode := range []*string{(*string)(&h.NetworkMode), (*string)(&h.PidMode), (*string)(&h.IpcMode)} {
		ref, ok := strings.CutPrefix(*mode, "container:")
		if !ok {
			continue
		}
		other, err := m.Get(ref)
		if err != nil {
			return invalid("%v", err) // not 404: clients would pull the image
		}
		*mode = "container:" + other.id
	}
	if h.NetworkMode.IsContainer() && len(h.PortBindings) > 0 {
		return invalid("conflicting options: port publishing and the container type network mode")
	}
	return nil
}

// make does what a new container needs on the disk.
func (m *Manager) make(ctx context.Context, c *Container) (err error) {
	defer func() {
		if err != nil {
			ctx, cancel := detached(ctx)
			defer cancel()
			err = errors.Join(err, m.unmake(ctx, c))
			m.removeVolumes(c)
		}
	}()
	if err := m.o.Images.NewRoot(ctx, c.id, c.rec.ImageID); err != nil {
		return err
	}
	if err := os.Mkdir(c.Dir(), 0o710); err != nil {
		return err
	}
	if err := m.makeVolumes(c); err != nil {
		return err
	}
	if err := m.populate(ctx, c); err != nil {
		return err
	}
	return errors.Join(c.saveHost(), c.save())
}

// unmake removes what a container has on the disk, but for its volumes. It may be called again.
func (m *Manager) unmake(ctx context.Context, c *Container) error {
	if err := c.unmountRoot(ctx); err != nil {
		return err
	}
	if err := m.o.Images.RemoveRoot(ctx, c.id); err != nil {
		return err
	}
	return errors.Join(m.o.Volumes.Release(c.id), os.RemoveAll(c.bundle()), os.RemoveAll(c.Dir()))
}

// setEndpoints notes the networks that the container is to be in.
func (c *Container) setEndpoints(n *apinet.NetworkingConfig) error {
	h := c.host
	if h.NetworkMode == "" || h.NetworkMode.IsDefault() {
		h.NetworkMode = apinet.NetworkBridge
	}
	if c.rec.Config.NetworkDisabled {
		h.NetworkMode = apinet.NetworkNone
	}
	c.rec.Endpoints = map[string]*apinet.EndpointSettings{}
	if n != nil {
		for name, e := range n.EndpointsConfig {
			if e == nil {
				return invalid("invalid config for network %s: EndpointsConfig is nil", name)
			}
			if name == apinet.NetworkDefault {
				name = apinet.NetworkBridge
			}
			c.rec.Endpoints[name] = e
		}
	}
	if h.NetworkMode.IsContainer() {
		if len(c.rec.Endpoints) > 0 {
			return invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		}
		return nil
	}
	mode := string(h.NetworkMode)
	if _, there := c.rec.Endpoints[mode]; !there {
		c.rec.Endpoints[mode] = &apinet.EndpointSettings{}
	}
	return nil
}
