package network

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/moby/moby/api/types/network"
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
