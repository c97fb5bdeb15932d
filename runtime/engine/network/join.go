package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Join gives a container its place in the networks: a namespace with interfaces, addresses, routes and names, and its ports
// published. When it fails nothing is left. A container that has joined already is an error: Leave first.
func (m *Manager) Join(ctx context.Context, j Join) (Joined, error) {
	if err := context.Cause(ctx); err != nil {
		return Joined{}, err
	}
	if other, ok := strings.CutPrefix(j.Mode, "container:"); ok {
		return m.share(other)
	}
	mb, err := m.register(j)
	if err != nil {
		return Joined{}, err
	}
	defer mb.busy.Unlock()
	if err := m.setUp(mb); err != nil { //nolint:contextcheck // proxies and the resolver outlive the call
		return Joined{}, errors.Join(fmt.Errorf("failed to set up container networking: %w", err), m.tearDown(mb))
	}
	if j.Quiet {
		return m.joined(mb), nil
	}
	for _, e := range mb.endpoints {
		m.tell(eventtypes.ActionConnect, e.segment, map[string]string{"container": j.ContainerID})
	}
	return m.joined(mb), nil
}

// share is the place of a container that joins another's.
func (m *Manager) share(ref string) (Joined, error) {
	m.mu.Lock()
	mb := m.memberOf(ref)
	m.mu.Unlock()
	if mb != nil {
		mb.busy.Lock()
		defer mb.busy.Unlock()
	}
	if mb == nil || mb.gone {
		return Joined{}, errdefs.ErrConflict.WithMessage("cannot join network of a non running container: " + ref)
	}
	return Joined{SandboxID: mb.id, NetNS: mb.path}, nil
}

// memberOf finds a container by ID, name, or beginning of an ID. m.mu is held.
func (m *Manager) memberOf(ref string) *member {
	if mb, ok := m.members[ref]; ok {
		return mb
	}
	var found []*member
	for id, mb := range m.members {
		if mb.join.Name == strings.TrimPrefix(ref, "/") {
			return mb
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, mb)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// register notes a container and takes its addresses. The member is returned busy.
func (m *Manager) register(j Join) (*member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errdefs.ErrUnavailable.WithMessage("the engine is ending")
	}
	if len(j.ContainerID) < 12 || strings.ContainsAny(j.ContainerID, "/.") {
		return nil, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("container ID %q", j.ContainerID))
	}
	if m.members[j.ContainerID] != nil {
		return nil, errdefs.ErrConflict.WithMessage("container " + j.ContainerID + " has joined its networks already")
	}
	mb := &member{join: j, id: randomID(), path: m.spaceOf(j.ContainerID)}
	if j.Mode == network.NetworkHost {
		mb.path = ""
	}
	mb.busy.Lock() // nobody else knows it yet
	err := m.enroll(mb)
	if err != nil {
		for _, e := range mb.endpoints {
			m.forget(e)
		}
		return nil, err
	}
	m.members[j.ContainerID] = mb
	return mb, nil
}

// enroll takes the container's place in each of its networks, that of its mode first. m.mu is held.
func (m *Manager) enroll(mb *member) error {
	j := mb.join
	segments, settings, err := m.chosen(j)
	if err != nil {
		return err
	}
	for _, link := range j.Links {
		if ref, alias := cutLink(link); m.byName(network.NetworkBridge).containerOf(ref) == nil {
			return invalid("Cannot link to a non running container: /%s AS /%s/%s", ref, j.Name, alias)
		}
	}
	for _, s := range segments {
		e, err := s.newEndpoint(mb, settings[s])
		if err != nil {
			return err
		}
		mb.endpoints = append(mb.endpoints, e)
	}
	return nil
}

// chosen are the networks that a container wants, that of its mode first and the others by name, and its settings in each.
// m.mu is held.
func (m *Manager) chosen(j Join) ([]*segment, map[*segment]*network.EndpointSettings, error) {
	mode := j.Mode
	if mode == "" {
		mode = network.NetworkDefault
	}
	first, err := m.find(mode)
	if err != nil {
		return nil, nil, err
	}
	settings := map[*segment]*network.EndpointSettings{first: nil}
	for ref, s := range j.Endpoints {
		seg, err := m.find(ref)
		if err != nil && s != nil && s.NetworkID != "" {
			seg, err = m.find(s.NetworkID)
		}
		if err != nil {
			return nil, nil, err
		}
		if seg != first && (seg.Driver != driverBridge || first.Driver != driverBridge) {
			return nil, nil, invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes (%s, %s)",
				first.Name, seg.Name)
		}
		settings[seg] = s
	}
	segments := slices.Collect(maps.Keys(settings))
	slices.SortFunc(segments, func(a, b *segment) int {
		switch {
		case a == b:
			return 0
		case a == first:
			return -1
		case b == first:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return segments, settings, nil
}

// setUp makes all that a registered container needs. busy is held.
func (m *Manager) setUp(mb *member) error {
	if mb.path == "" {
		return nil
	}
	bridges := make([]int, len(mb.endpoints))
	for i, e := range mb.endpoints {
		if e.segment.Driver != driverBridge {
			continue
		}
		var err error
		if bridges[i], err = m.bringUp(e.segment); err != nil {
			return err
		}
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE) // of the sandbox's namespace, which the thread below leaves
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer host.Close()
	err = newSpace(mb.path, func() error {
		return m.furnish(mb, func(in *netlink.Handle, space netlink.NsFd) error {
			if err := m.openPorts(); err != nil {
				return err
			}
			if err := upLoopback(in); err != nil {
				return err
			}
			for i, e := range mb.endpoints {
				if bridges[i] == 0 {
					continue
				}
				if err := e.plug(host, in, space, bridges[i], mb.interfaceName(e)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		err = m.publish(mb)
	}
	return err
}

// furnish runs f on a thread in the container's namespace, and afterwards puts the default route and the resolver right.
func (m *Manager) furnish(mb *member, f func(in *netlink.Handle, space netlink.NsFd) error) error {
	space, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer space.Close()
	in, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer in.Close()
	if err := f(in, netlink.NsFd(space.Fd())); err != nil {
		return err
	}
	if err := m.setRoute(mb, in); err != nil {
		return err
	}
	return m.setResolver(mb)
}

// setRoute makes the gateway's endpoint the default route, or removes the route where the container has no gateway.
func (m *Manager) setRoute(mb *member, in *netlink.Handle) error {
	m.mu.Lock()
	gateway := mb.gateway()
	m.mu.Unlock()
	if gateway == nil {
		err := in.RouteDel(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove the default route: %w", err)
		}
		return nil
	}
	link, err := in.LinkByName(gateway.inside)
	if err == nil {
		err = in.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.segment.Gateway.AsSlice()})
	}
	if err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// openPorts lets programs without privileges use low ports and ping, as in Docker's containers. It acts on the network
// namespace of the thread that it runs on.
func (m *Manager) openPorts() error {
	if err := sysctl("net/ipv4/ip_unprivileged_port_start", "0"); err != nil {
		return err
	}
	if err := sysctl("net/ipv4/ping_group_range", "0 65535"); err != nil { // the groups that a sandbox has
		m.log.Debug("ping for all", "error", err)
	}
	return nil
}

func upLoopback(in *netlink.Handle) error {
	lo, err := in.LinkByName("lo")
	if err == nil {
		err = in.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// tell publishes an event of a network.
func (m *Manager) tell(action eventtypes.Action, s *segment, attributes map[string]string) {
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["name"], attributes["type"] = s.Name, s.Driver
	m.o.Events.Publish(eventtypes.NetworkEventType, action, s.ID, attributes)
}
