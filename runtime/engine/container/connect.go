package container

import (
	"context"
	"maps"

	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/network"
)

// ConnectNetwork joins a container to a network: at once where it runs, or else when it starts.
func (m *Manager) ConnectNetwork(ctx context.Context, ref, net string, asked *apinet.EndpointSettings) error {
	c, to, err := m.membership(ref, net)
	if err != nil {
		return err
	}
	c.life.Lock()
	defer c.life.Unlock()
	if asked == nil {
		asked = &apinet.EndpointSettings{}
	}
	if !c.Running() {
		return c.setEndpoint(to.Name, asked)
	}
	joined, err := m.o.Networks.Connect(ctx, to.ID, c.id, asked)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rec.Asked = with(c.rec.Asked, to.Name, asked)
	c.mu.Unlock()
	return c.moved(joined)
}

// DisconnectNetwork takes a container out of a network. With force it does not matter whether it was in it.
func (m *Manager) DisconnectNetwork(ctx context.Context, ref, net string, force bool) error {
	c, from, err := m.membership(ref, net)
	if err != nil {
		return err
	}
	c.life.Lock()
	defer c.life.Unlock()
	if !c.Running() {
		if !force && !c.isIn(from.Name) {
			return invalid("container %s is not connected to network %s", c.id, from.Name)
		}
		return c.setEndpoint(from.Name, nil)
	}
	joined, err := m.o.Networks.Disconnect(ctx, from.ID, c.id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rec.Asked = with(c.rec.Asked, from.Name, nil)
	c.leaveMode(from.Name, c.rec.Asked)
	c.mu.Unlock()
	return c.moved(joined)
}

// membership finds both.
func (m *Manager) membership(ref, net string) (*Container, apinet.Inspect, error) {
	c, err := m.Get(ref)
	if err != nil {
		return nil, apinet.Inspect{}, err
	}
	to, err := m.o.Networks.Inspect(net)
	return c, to, err
}

// moved notes and tells the container what it has now. Its files of /etc are written in place: they are mounted.
func (c *Container) moved(joined network.Joined) error {
	c.mu.Lock()
	c.rec.Endpoints, c.rec.Ports = joined.Endpoints, joined.Ports
	err := c.save()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = c.writeEtc(map[string]string{"resolv.conf": joined.ResolvConf, "hosts": joined.Hosts})
	return err
}

// setEndpoint is for the next start; nil: it is in that network no more.
func (c *Container) setEndpoint(name string, e *apinet.EndpointSettings) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Endpoints = with(c.rec.Endpoints, name, e)
	if e == nil {
		c.leaveMode(name, c.rec.Endpoints)
		if err := c.saveHost(); err != nil {
			return err
		}
	}
	return c.save()
}

// leaveMode makes another network, or none, the one that the container starts in. c.mu is held.
func (c *Container) leaveMode(name string, left map[string]*apinet.EndpointSettings) {
	if c.host.NetworkMode.NetworkName() != name {
		return
	}
	host := *c.host // others may be reading it
	host.NetworkMode = "none"
	for other := range left {
		host.NetworkMode = api.NetworkMode(other)
	}
	c.host = &host
}

func (c *Container) isIn(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.rec.Endpoints[name]
	return ok || c.host.NetworkMode.NetworkName() == name
}

// with returns a copy of the endpoints with one changed; nil: without it.
func with(all map[string]*apinet.EndpointSettings, name string, e *apinet.EndpointSettings) map[string]*apinet.EndpointSettings {
	all = maps.Clone(all)
	if all == nil {
		all = map[string]*apinet.EndpointSettings{}
	}
	delete(all, name)
	if e != nil {
		all[name] = e
	}
	return all
}
