package network

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Connect joins a container that runs to one more network, live. What it returns is what the container has then: its
// resolv.conf and hosts must be written anew, in place. ErrNotFound: there is no such network, or the container has not
// joined any (it does not run: keep the settings for its next Join).
func (m *Manager) Connect(ctx context.Context, ref, containerID string, asked *network.EndpointSettings) (Joined, error) {
	mb, err := m.occupied(ctx, containerID)
	if err != nil {
		return Joined{}, err
	}
	defer mb.busy.Unlock()
	e, err := m.admit(mb, ref, asked)
	if err != nil {
		return Joined{}, err
	}
	before := m.gatewayOf(mb, e)
	if err := m.attach(mb, e, before); err != nil { //nolint:contextcheck // proxies outlive the call
		return Joined{}, errors.Join(err, m.expel(mb, e)) //nolint:contextcheck // as above
	}
	m.tell(eventtypes.ActionConnect, e.segment, map[string]string{"container": containerID})
	return m.joined(mb), nil
}

// Disconnect takes a container that runs out of a network. What it returns is as for Connect.
func (m *Manager) Disconnect(ctx context.Context, ref, containerID string) (Joined, error) {
	mb, err := m.occupied(ctx, containerID)
	if err != nil {
		return Joined{}, err
	}
	defer mb.busy.Unlock()
	m.mu.Lock()
	s, err := m.find(ref)
	var e *endpoint
	if err == nil {
		e = mb.endpointOf(s)
	}
	m.mu.Unlock()
	switch {
	case err != nil:
		return Joined{}, err
	case s.Driver == driverHost:
		return Joined{}, invalid("container cannot be disconnected from host network or connected to host network")
	case e == nil:
		return Joined{}, fmt.Errorf("container %s is not connected to network %s", containerID, s.Name)
	}
	err = m.expel(mb, e) //nolint:contextcheck // proxies outlive the call
	m.tell(eventtypes.ActionDisconnect, s, map[string]string{"container": containerID})
	return m.joined(mb), err
}

// Rename gives a container that has joined another name, for those who look it up from now on. The host name stays.
func (m *Manager) Rename(ctx context.Context, containerID, name string) error {
	mb, err := m.occupied(ctx, containerID)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer mb.busy.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	mb.join.Name = name
	for _, e := range mb.endpoints {
		if e.address.IsValid() {
			e.names = namesOf(mb.join, e.asked)
		}
	}
	return nil
}

// occupied returns a container that has joined, busy.
func (m *Manager) occupied(ctx context.Context, containerID string) (*member, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	mb := m.members[containerID]
	m.mu.Unlock()
	if mb != nil {
		mb.busy.Lock()
		if !mb.gone {
			return mb, nil
		}
		mb.busy.Unlock()
	}
	return nil, errdefs.ErrNotFound.WithMessage("container " + containerID + " is not running")
}

// admit takes the container's place in a network.
func (m *Manager) admit(mb *member, ref string, asked *network.EndpointSettings) (*endpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.find(ref)
	if err != nil {
		return nil, err
	}
	switch {
	case mb.path == "" || s.Driver == driverHost:
		return nil, invalid("container cannot be disconnected from host network or connected to host network")
	case mb.endpointOf(s) != nil:
		return nil, forbidden("endpoint with name %s already exists in network %s", mb.join.Name, s.Name)
	case len(mb.endpoints) > 0 && (s.Driver == driverNull || mb.endpoints[0].segment.Driver == driverNull):
		return nil, invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	}
	e, err := s.newEndpoint(mb, asked)
	if err != nil {
		return nil, err
	}
	mb.endpoints = append(mb.endpoints, e)
	return e, nil
}

// gatewayOf is the container's gateway without an endpoint.
func (m *Manager) gatewayOf(mb *member, without *endpoint) *endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	others := member{endpoints: slices.DeleteFunc(slices.Clone(mb.endpoints), func(e *endpoint) bool { return e == without })}
	return others.gateway()
}

// attach makes a new endpoint's interfaces, and moves route and ports where its network is now the way out. busy is held.
func (m *Manager) attach(mb *member, e *endpoint, before *endpoint) error {
	if e.segment.Driver != driverBridge {
		return nil
	}
	bridge, err := m.bringUp(e.segment)
	if err != nil {
		return err
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer host.Close()
	inside := m.nextInterface(mb, e)
	err = inSpace(mb.path, func() error {
		return m.furnish(mb, func(in *netlink.Handle, space netlink.NsFd) error {
			return e.plug(host, in, space, bridge, inside)
		})
	})
	if err == nil {
		err = m.republish(mb, before)
	}
	return err
}

func (m *Manager) nextInterface(mb *member, e *endpoint) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return mb.interfaceName(e)
}

// expel takes an endpoint away, as far as it came. busy is held.
func (m *Manager) expel(mb *member, e *endpoint) error {
	m.mu.Lock()
	before := mb.gateway()
	mb.endpoints = slices.DeleteFunc(mb.endpoints, func(o *endpoint) bool { return o == e })
	m.mu.Unlock()
	err := inSpace(mb.path, func() error {
		return m.furnish(mb, func(*netlink.Handle, netlink.NsFd) error { return nil })
	})
	m.detach(e)
	return errors.Join(err, m.republish(mb, before))
}

// republish publishes the container's ports anew where its gateway is another than before. busy is held.
func (m *Manager) republish(mb *member, before *endpoint) error {
	m.mu.Lock()
	now := mb.gateway()
	m.mu.Unlock()
	if now == before {
		return nil
	}
	if len(mb.bindings) > 0 { // the ports that it got stay the same, also those that it left to chance
		mb.join.Ports, mb.join.PublishAll = network.PortMap{}, false
		for _, b := range mb.bindings {
			for _, a := range b.hosts {
				mb.join.Ports[b.container] = append(mb.join.Ports[b.container], network.PortBinding{HostIP: a, HostPort: decimal(b.port)})
			}
		}
	}
	if err := m.withdraw(mb); err != nil {
		return err
	}
	return m.publish(mb)
}
