package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

// Ports to choose from when a request names none: the kernel's default range (ip_local_port_range), which is Docker's.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// ports are the host's ports that containers have, or are about to have.
type ports struct {
	mu    sync.Mutex
	taken map[portKey][]netip.Addr // addresses by port; the unspecified one stands for all
	next  map[network.IPProtocol]uint16
}

type portKey struct {
	protocol network.IPProtocol
	port     uint16
}

// errTaken says that a container has the port.
type errTaken struct{ at netip.AddrPort }

func (e errTaken) Error() string {
	return fmt.Sprintf("Bind for %s failed: port is already allocated", e.at)
}

// claim takes a port on all addresses, or on none.
func (p *ports) claim(protocol network.IPProtocol, port uint16, addrs []netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := portKey{protocol, port}
	for _, a := range addrs {
		if slices.ContainsFunc(p.taken[key], func(b netip.Addr) bool {
			return a.Is4() == b.Is4() && (a == b || a.IsUnspecified() || b.IsUnspecified())
		}) {
			return errTaken{netip.AddrPortFrom(a, port)}
		}
	}
	if p.taken == nil {
		p.taken = map[portKey][]netip.Addr{}
	}
	p.taken[key] = append(p.taken[key], addrs...)
	return nil
}

func (p *ports) release(protocol network.IPProtocol, port uint16, addrs []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := portKey{protocol, port}
	p.taken[key] = slices.DeleteFunc(p.taken[key], func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	if len(p.taken[key]) == 0 {
		delete(p.taken, key)
	}
}

// begin is where to start looking in the ephemeral range: after the last that was given, so that a port does not soon come
// to another container.
func (p *ports) begin(protocol network.IPProtocol) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = map[network.IPProtocol]uint16{}
	}
	if p.next[protocol] < firstEphemeral || p.next[protocol] > lastEphemeral {
		p.next[protocol] = firstEphemeral
	}
	return p.next[protocol]
}

func (p *ports) gave(protocol network.IPProtocol, port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next[protocol] = port + 1
}

// wish is one published port as it was asked for.
type wish struct {
	container   network.Port
	hosts       []netip.Addr // addresses to publish on
	first, last uint16       // host ports to choose from, both 0: any
}

func (w wish) exact() bool { return w.first != 0 && w.first == w.last }

// wishes reads what a container wants published, exact ports first: a range may contain them.
func wishes(j Join, hostIP netip.Addr) ([]wish, error) {
	all := network.PortMap{}
	for p, b := range j.Ports {
		all[p] = b
	}
	if j.PublishAll {
		for p := range j.Exposed {
			if len(all[p]) == 0 {
				all[p] = []network.PortBinding{{}}
			}
		}
	}
	var list []wish
	for p, bindings := range all {
		if p.Proto() != network.TCP && p.Proto() != network.UDP {
			return nil, errdefs.ErrInvalidArgument.WithMessage(
				fmt.Sprintf("publishing ports of protocol %s is not supported in this playground", p.Proto()))
		}
		for _, b := range bindings {
			w := wish{container: p}
			var err error
			if w.first, w.last, err = hostPorts(b.HostPort); err != nil {
				return nil, err
			}
			if w.hosts, err = hostAddresses(b.HostIP, hostIP, p.Proto()); err != nil {
				return nil, err
			}
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b wish) int {
		switch {
		case a.exact() != b.exact() && a.exact():
			return -1
		case a.exact() != b.exact():
			return 1
		case a.container.Num() != b.container.Num():
			return int(a.container.Num()) - int(b.container.Num())
		case a.container.Proto() != b.container.Proto():
			return strings.Compare(string(a.container.Proto()), string(b.container.Proto()))
		case a.first != b.first:
			return int(a.first) - int(b.first)
		}
		return slices.CompareFunc(a.hosts, b.hosts, netip.Addr.Compare)
	})
	return list, nil
}

// hostPorts reads "", "80" or "8000-8010".
func hostPorts(s string) (first, last uint16, err error) {
	if s == "" {
		return 0, 0, nil
	}
	low, high, isRange := strings.Cut(s, "-")
	a, err := strconv.ParseUint(low, 10, 16)
	b := a
	if err == nil && isRange {
		b, err = strconv.ParseUint(high, 10, 16)
	}
	if err != nil || b < a || a == 0 && b != 0 {
		return 0, 0, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid port specification: %q", s))
	}
	return uint16(a), uint16(b), nil
}

// hostAddresses are where to publish. UDP over IPv6 has no way to a container without IPv6.
func hostAddresses(asked, preset netip.Addr, protocol network.IPProtocol) ([]netip.Addr, error) {
	if !asked.IsValid() {
		asked = preset
	}
	switch asked = asked.Unmap(); {
	case asked.IsValid() && asked.Is4():
		return []netip.Addr{asked}, nil
	case asked.IsValid() && protocol == network.UDP:
		return nil, errdefs.ErrInvalidArgument.WithMessage(
			fmt.Sprintf("publishing UDP ports on the IPv6 address %s is not supported in this playground", asked))
	case asked.IsValid():
		return []netip.Addr{asked}, nil
	case protocol == network.UDP || !hasIPv6():
		return []netip.Addr{netip.IPv4Unspecified()}, nil
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
}

// hasIPv6 reports whether sockets of IPv6 can be bound here.
func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}

// binding is one published port.
type binding struct {
	container network.Port
	hosts     []netip.Addr
	port      uint16 // of the host
	holders   []holder
	routes    []route
}

// bind finds a free port for a wish and holds it by sockets: nobody else in the sandbox can have it then, as nobody can have
// a port that a container has.
func (m *Manager) bind(w wish, target netip.Addr) (*binding, error) {
	if w.exact() {
		return m.bindPort(w, w.first, target)
	}
	first, last := w.first, w.last
	start := first
	if first == 0 {
		first, last = firstEphemeral, lastEphemeral
		start = m.ports.begin(w.container.Proto())
	}
	count := int(last) - int(first) + 1
	var why error
	for i := range count {
		port := first + uint16((int(start)-int(first)+i)%count)
		b, err := m.bindPort(w, port, target)
		if err == nil {
			if w.first == 0 {
				m.ports.gave(w.container.Proto(), port)
			}
			return b, nil
		}
		var taken errTaken
		if !errors.As(err, &taken) && !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		why = err
	}
	if w.first == 0 {
		return nil, errors.New("all ports are allocated")
	}
	return nil, why
}

func (m *Manager) bindPort(w wish, port uint16, target netip.Addr) (*binding, error) {
	protocol := w.container.Proto()
	if err := m.ports.claim(protocol, port, w.hosts); err != nil {
		return nil, err
	}
	b := &binding{container: w.container, hosts: w.hosts, port: port}
	to := netip.AddrPortFrom(target, w.container.Num())
	for _, a := range w.hosts {
		at := netip.AddrPortFrom(a, port)
		h, err := m.hold(protocol, at, to)
		if err != nil {
			m.unbind(b)
			return nil, fmt.Errorf("failed to bind host port %s/%s: %w", at, protocol, rootCause(err))
		}
		b.holders = append(b.holders, h)
		if a.Is4() {
			b.routes = append(b.routes, route{protocol: protocolNumber(protocol), host: at, target: to})
		}
	}
	return b, nil
}

// unbind lets a port go. Its routes must be gone.
func (m *Manager) unbind(b *binding) {
	for _, h := range b.holders {
		h.close()
	}
	m.ports.release(b.container.Proto(), b.port, b.hosts)
}

func protocolNumber(p network.IPProtocol) byte {
	if p == network.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// rootCause leaves out what package net says around an error of the kernel: Docker's message ends with it.
func rootCause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
