package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

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
	for name := range e.asked.DriverOpts {
		return invalid("DriverOpts.%s is not supported in this playground: leave it out", name)
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

// plug makes the pair of interfaces and sets both ends up. It runs on a thread in the container's namespace, of which in is
// a handle; host is one of the sandbox's. When it fails, unplug removes what there is.
func (e *endpoint) plug(host, in *netlink.Handle, space netlink.NsFd, bridge int, inside string) error {
	e.inside = inside
	name := "veth" + e.id[:7]
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumTxQueues, attrs.NumRxQueues = name, e.segment.Bridge.MTU, 1, 1
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: inside, PeerNamespace: space, PeerHardwareAddr: e.mac,
		PeerNumTxQueues: 1, PeerNumRxQueues: 1, PeerTxQLen: -1,
	}
	// The container's end is born in its namespace: moving it there later waits for RCU, twice.
	if err := host.LinkAdd(pair); err != nil {
		return fmt.Errorf("make interface %s: %w", name, err)
	}
	e.veth = name
	// The container's end first, then ours, then the bridge: each finds the one before with its carrier on, and forwards at
	// once. Otherwise the kernel would tell the bridge later.
	peer, err := e.configure(in)
	if err != nil {
		return err
	}
	if err := noIPv6(host, pair); err != nil {
		return err
	}
	if err := host.LinkSetUp(pair); err != nil {
		return fmt.Errorf("interface %s up: %w", name, err)
	}
	if err := host.LinkSetMasterByIndex(pair, bridge); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if e.segment.Bridge.NoICC { // isolated ports reach the bridge, and not each other
		if err := host.LinkSetIsolated(pair, true); err != nil {
			return fmt.Errorf("isolate %s: %w", name, err)
		}
	}
	if err := awaitUp(in, peer, netlink.OperUp); err != nil {
		return err
	}
	if err := awaitUp(host, pair.Index, netlink.OperUp); err != nil {
		return err
	}
	return awaitUp(host, bridge, netlink.OperUp, netlink.OperUnknown) // unknown: its carrier was never off
}

// configure sets up the container's end, from within its namespace, and returns its index.
func (e *endpoint) configure(in *netlink.Handle) (index int, err error) {
	link, err := in.LinkByName(e.inside)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", e.inside, err)
	}
	if err := noIPv6(in, link); err != nil {
		return 0, err
	}
	err = in.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{
		IP: e.address.AsSlice(), Mask: net.CIDRMask(e.segment.Subnet.Bits(), e.address.BitLen()),
	}})
	if err != nil {
		return 0, fmt.Errorf("address of %s: %w", e.inside, err)
	}
	if err := in.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("interface %s up: %w", e.inside, err)
	}
	return link.Attrs().Index, nil
}

// Bounds of awaitUp. The kernel's work queue mostly has been there before we look.
const (
	upTimeout = 2 * time.Second
	upPause   = 200 * time.Microsecond
)

// awaitUp waits until the kernel lets packets through an interface: it does so in the background (net/core/link_watch.c).
// A packet sent before is lost, and a connection then starts a second late.
func awaitUp(nl *netlink.Handle, index int, states ...netlink.LinkOperState) error {
	tick := time.NewTicker(upPause)
	defer tick.Stop()
	for deadline := time.Now().Add(upTimeout); ; <-tick.C {
		link, err := nl.LinkByIndex(index)
		if err != nil {
			return fmt.Errorf("interface %d: %w", index, err)
		}
		// Late is not wrong: what is sent then is sent again.
		if slices.Contains(states, link.Attrs().OperState) || time.Now().After(deadline) {
			return nil
		}
	}
}

// unplug deletes the pair, where there is one. It waits for RCU: some 20 ms.
func (e *endpoint) unplug() error {
	if e.veth == "" {
		return nil
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = e.veth
	link, err := nl.LinkByName(e.veth)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) { // it went with its namespace, or somebody in the sandbox deleted it
		return nil
	}
	if err == nil {
		err = nl.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", e.veth, err)
	}
	return nil
}

// interfaceName is the first name that a container has free for a further interface.
func (mb *member) interfaceName(prefix string) string {
	if prefix == "" {
		prefix = "eth"
	}
	for i := 0; ; i++ {
		name, free := prefix+strconv.Itoa(i), true
		for _, e := range mb.endpoints {
			free = free && e.inside != name
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
	addrs, err := nl.AddrList(nil, unix.AF_INET)
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
