package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func invalid(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
}

func forbidden(format string, args ...any) error {
	return errdefs.ErrPermissionDenied.WithMessage(fmt.Sprintf(format, args...))
}

// Create makes a bridge network. ErrConflict: the name is taken.
func (m *Manager) Create(ctx context.Context, r network.CreateRequest) (network.CreateResponse, error) {
	if err := context.Cause(ctx); err != nil {
		return network.CreateResponse{}, err
	}
	rec, err := newRecord(r)
	if err != nil {
		return network.CreateResponse{}, err
	}
	local, err := localNetworks()
	if err != nil {
		return network.CreateResponse{}, err
	}
	s, err := m.enter(rec, local)
	if err != nil {
		return network.CreateResponse{}, err
	}
	if _, err := m.bringUp(s); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.segments, s.ID)
		return network.CreateResponse{}, errors.Join(err, m.save())
	}
	m.tell(eventtypes.ActionCreate, s, nil)
	return network.CreateResponse{ID: s.ID}, nil
}

// enter finds a subnet for a new network, and keeps it.
func (m *Manager) enter(rec record, local []netip.Prefix) (*segment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errdefs.ErrUnavailable.WithMessage("the engine is ending")
	}
	if m.byName(rec.Name) != nil {
		return nil, errdefs.ErrConflict.WithMessage(fmt.Sprintf("network with name %s already exists", rec.Name))
	}
	for _, other := range m.segments {
		if other.Driver == driverBridge && other.Bridge.Interface == rec.Bridge.Interface {
			return nil, forbidden("cannot create network %s (%s): conflicts with network %s (%s): networks have same bridge name",
				rec.ID, rec.Bridge.Interface, other.ID, other.Bridge.Interface)
		}
	}
	if err := m.choose(&rec, local); err != nil {
		return nil, err
	}
	s := newSegment(rec)
	m.segments[s.ID] = s
	if err := m.save(); err != nil {
		delete(m.segments, s.ID)
		return nil, err
	}
	return s, nil
}

// choose gives a network a subnet that is free, and a gateway. m.mu is held.
func (m *Manager) choose(rec *record, local []netip.Prefix) error {
	var used []netip.Prefix
	for _, s := range m.segments {
		if s.Subnet.IsValid() {
			used = append(used, s.Subnet)
		}
	}
	if rec.Subnet.IsValid() {
		if overlaps(rec.Subnet, used) {
			return forbidden("invalid pool request: Pool overlaps with other one on this address space")
		}
	} else {
		for p := range pools {
			if !overlaps(p, used) && !overlaps(p, local) {
				rec.Subnet = p
				break
			}
		}
		if !rec.Subnet.IsValid() {
			return errdefs.ErrInvalidArgument.WithMessage("all predefined address pools have been fully subnetted")
		}
	}
	if !rec.Gateway.IsValid() {
		rec.Gateway = rec.Subnet.Addr().Next()
		for taken := true; taken; {
			taken = false
			for _, aux := range rec.Aux {
				if aux == rec.Gateway {
					rec.Gateway, taken = rec.Gateway.Next(), true
				}
			}
		}
	}
	return nil
}

func overlaps(p netip.Prefix, others []netip.Prefix) bool {
	for _, o := range others {
		if p.Overlaps(o) {
			return true
		}
	}
	return false
}

// localNetworks are those that this namespace has interfaces in: a new network must not hide them.
func localNetworks() ([]netip.Prefix, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	addrs, err := nl.AddrList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		ones, _ := a.Mask.Size()
		if ok {
			out = append(out, netip.PrefixFrom(ip, ones).Masked())
		}
	}
	return out, nil
}

// newRecord checks a request and makes a network of it, without a subnet where it names none. What this engine has no use
// for is refused by name.
func newRecord(r network.CreateRequest) (record, error) {
	if err := checkRequest(r); err != nil {
		return record{}, err
	}
	rec := record{
		ID: randomID(), Name: r.Name, Driver: driverBridge, Created: time.Now(), Internal: r.Internal, Attachable: r.Attachable,
		Labels: maps.Clone(r.Labels), Options: maps.Clone(r.Options), Asked: r.IPAM,
	}
	rec.Bridge.Interface = "br-" + rec.ID[:12]
	for name, value := range r.Options {
		if err := rec.Bridge.set(name, value); err != nil {
			return record{}, err
		}
	}
	return rec, rec.setIPAM(r.IPAM)
}

func checkRequest(r network.CreateRequest) error {
	unsupported := func(field string) error {
		return invalid("%s is not supported in this playground: leave it out", field)
	}
	switch {
	case strings.TrimSpace(r.Name) == "":
		return invalid("invalid network name: name is empty")
	case predefined(r.Name):
		return forbidden("operation is not permitted on predefined %s network ", r.Name)
	case r.EnableIPv6 != nil && *r.EnableIPv6:
		return invalid("EnableIPv6 is not supported in this playground: its networks have IPv4 only")
	case r.EnableIPv4 != nil && !*r.EnableIPv4:
		return invalid("EnableIPv4=false is not supported in this playground: its networks have IPv4 only")
	case r.Scope != "" && r.Scope != "local":
		return unsupported("Scope=" + r.Scope)
	case r.Ingress:
		return unsupported("Ingress")
	case r.ConfigOnly:
		return unsupported("ConfigOnly")
	case r.ConfigFrom != nil && r.ConfigFrom.Network != "":
		return unsupported("ConfigFrom")
	}
	switch r.Driver {
	case "", driverBridge, network.NetworkDefault:
		return nil
	case driverHost, driverNull:
		return forbidden("only one instance of %q network is allowed", r.Driver)
	case "overlay":
		return forbidden("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect " +
			"this node to swarm and try again.")
	}
	return errdefs.ErrNotFound.WithMessage(fmt.Sprintf("plugin %q not found", r.Driver))
}
