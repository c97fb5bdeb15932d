package network

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/nftables"
	"github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// endpoint is a container's place in one network.
type endpoint struct {
	id      string
	segment *segment
	member  *member
	asked   *network.EndpointSettings // as given; never nil
	names   []string                  // that other containers find it by; the first is its own

	address netip.Addr // zero: the network has none (host, none)
	mac     net.HardwareAddr
	veth    string // the sandbox's end; empty: not made
	inside  string // the container's end
}

// newEndpoint takes an address in a network. Manager.mu is held.
func (s *segment) newEndpoint(mb *member, asked *network.EndpointSettings) (*endpoint, error) {
	if asked == nil {
		asked = &network.EndpointSettings{}
	}
	e := &endpoint{id: randomID(), segment: s, member: mb, asked: asked.Copy()}
	if err := e.check(); err != nil {
		return nil, err
	}
	if s.Driver == driverBridge {
		var want netip.Addr
		if asked.IPAMConfig != nil {
			want = asked.IPAMConfig.IPv4Address
		}
		var err error
		if e.address, err = s.allocate(want); err != nil {
			return nil, err
		}
		e.mac = net.HardwareAddr(asked.MacAddress)
		if len(e.mac) == 0 {
			e.mac = macOf(e.address)
		}
		e.names = namesOf(mb.join, asked)
	}
	s.endpoints[mb.join.ContainerID] = e
	return e, nil
}

// check refuses what an endpoint cannot have.
func (e *endpoint) check() error {
	invalid := func(format string, args ...any) error {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
	}
	s, c := e.segment, e.asked.IPAMConfig
	if c != nil && c.IPv6Address.IsValid() {
		return invalid("IPv6Address is not supported in this playground: its networks have no IPv6")
	}
	if c != nil && len(c.LinkLocalIPs) > 0 {
		return invalid("LinkLocalIPs is not supported in this playground: leave it out")
	}
	if c != nil && c.IPv4Address.IsValid() {
		switch {
		case !s.named():
			return invalid("invalid config for network %s: invalid endpoint settings:\n"+
				"user specified IP address is supported on user defined networks only", s.Name)
		case s.Asked == nil || len(s.Asked.Config) == 0:
			return invalid("invalid config for network %s: invalid endpoint settings:\n"+
				"user specified IP address is supported only when connecting to networks with user configured subnets", s.Name)
		}
	}
	if len(e.asked.Aliases) > 0 && !s.named() {
		return invalid("invalid config for network %s: invalid endpoint settings:\n"+
			"network-scoped alias is supported only for containers in user defined networks", s.Name)
	}
	for name, value := range e.asked.DriverOpts {
		if name != optionIfName {
			return invalid("DriverOpts.%s is not supported in this playground: leave it out", name)
		}
		if !interfaceName.MatchString(value) || value == "lo" {
			return invalid("invalid interface name %q", value)
		}
	}
	return nil
}

// namesOf are the names that a container has in a network: its own, its aliases, its short ID and its host name.
func namesOf(j Join, asked *network.EndpointSettings) []string {
	var names []string
	for _, n := range append(append([]string{j.Name}, asked.Aliases...), short(j.ContainerID), j.Hostname) {
		if n != "" && !contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// short is an ID as people see it.
func short(id string) string { return id[:min(12, len(id))] }

// settings describes the endpoint as the API does.
func (e *endpoint) settings(gateway bool) *network.EndpointSettings {
	out := e.asked.Copy()
	out.NetworkID, out.EndpointID = e.segment.ID, e.id
	out.DNSNames = e.names
	if !e.segment.named() {
		out.DNSNames = nil
	}
	if e.address.IsValid() {
		out.IPAddress, out.IPPrefixLen = e.address, e.segment.Subnet.Bits()
		out.MacAddress = network.HardwareAddr(e.mac)
	}
	if e.address.IsValid() && (gateway || !e.segment.Internal) {
		out.Gateway = e.segment.Gateway
	}
	return out
}

// interfaceName is the name that an endpoint's interface gets in the container: what was asked for, or the first that is free.
func (mb *member) interfaceName(e *endpoint) string {
	if name := e.asked.DriverOpts[optionIfName]; name != "" {
		return name
	}
	prefix := e.segment.Bridge.IfPrefix
	if prefix == "" {
		prefix = "eth"
	}
	for i := 0; ; i++ {
		name, free := prefix+strconv.Itoa(i), true
		for _, o := range mb.endpoints {
			free = free && o.inside != name && o.asked.DriverOpts[optionIfName] != name
		}
		if free {
			return name
		}
	}
}

// localAddresses are this namespace's addresses, besides those of loopback and of our bridges.
func localAddresses() ([]nftables.SetElement, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	addrs, err := whole(func() ([]netlink.Addr, error) { return nl.AddrList(nil, unix.AF_INET) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	seen := map[netip.Addr]bool{}
	var elements []nftables.SetElement
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		if ok && !ip.IsLoopback() && !seen[ip] {
			seen[ip] = true
			elements = append(elements, nftables.SetElement{Key: address(ip)})
		}
	}
	return elements, nil
}
