package network

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/network"
)

// lookUp finds a name in the container's networks: NAME or NAME.NETWORK. Of several containers of a name the order is
// different every time.
func (r *resolver) lookUp(name string) []netip.Addr {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	for _, mine := range r.mb.endpoints {
		s := mine.segment
		if !s.named() {
			continue
		}
		n := name
		if suffix := "." + s.Name; len(n) > len(suffix) && strings.EqualFold(n[len(n)-len(suffix):], suffix) {
			n = n[:len(n)-len(suffix)]
		}
		if found := s.addressesOf(mine, n); len(found) > 0 {
			rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] }) // #nosec G404 -- no secret
			return found
		}
	}
	return nil
}

// addressesOf finds a name as the container of an endpoint knows it: links are names of its own. Manager.mu is held.
func (s *segment) addressesOf(mine *endpoint, name string) []netip.Addr {
	for _, link := range mine.asked.Links {
		ref, alias := cutLink(link)
		if strings.EqualFold(alias, name) {
			if e := s.containerOf(ref); e != nil {
				return []netip.Addr{e.address}
			}
		}
	}
	var found []netip.Addr
	for _, e := range s.endpoints {
		if contains(e.names, name) {
			found = append(found, e.address)
		}
	}
	return found
}

// reverse finds the name for an address as 2.0.18.172.in-addr.arpa.
func (r *resolver) reverse(name string) string {
	reversed, ok := strings.CutSuffix(strings.ToLower(name), ".in-addr.arpa")
	parts := strings.Split(reversed, ".")
	if !ok || len(parts) != 4 {
		return ""
	}
	address, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
	if err != nil {
		return ""
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	for _, mine := range r.mb.endpoints {
		if !mine.segment.named() {
			continue
		}
		for _, e := range mine.segment.endpoints {
			if e.address == address && len(e.names) > 0 {
				return e.names[0] + "." + e.segment.Name
			}
		}
	}
	return ""
}

// Gateway is where containers in the default bridge network reach the sandbox itself. It is the zero Addr where there is none.
func (m *Manager) Gateway() netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.byName(network.NetworkBridge); s != nil {
		return s.Gateway
	}
	return netip.Addr{}
}
