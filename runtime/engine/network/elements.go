package network

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// element is one of a set or a map.
type element struct {
	set *nftables.Set
	e   nftables.SetElement
}

func (e element) key() string { return e.set.Name + "\x00" + string(e.e.Key) }

func (fw *firewall) ofBridge(s *segment) []element {
	name := ifname(s.Bridge.Interface)
	elements := []element{
		{fw.bridges, nftables.SetElement{Key: name}},
		{fw.same, nftables.SetElement{Key: append(append([]byte{}, name...), name...)}},
		{fw.local, nftables.SetElement{Key: address(s.Gateway)}},
	}
	if s.Internal {
		return append(elements, element{fw.internal, nftables.SetElement{Key: name}})
	}
	if !s.Bridge.NoNAT {
		elements = append(elements, element{fw.masquerade, nftables.SetElement{Key: name}})
	}
	return elements
}

func (fw *firewall) addBridge(s *segment) error    { return fw.add(fw.ofBridge(s)) }
func (fw *firewall) removeBridge(s *segment) error { return fw.remove(fw.ofBridge(s)) }

// route is a published port: what comes to it goes to a container.
type route struct {
	protocol byte           // IPPROTO_TCP or IPPROTO_UDP
	host     netip.AddrPort // the address 0.0.0.0 stands for all of this namespace
	target   netip.AddrPort
}

func (fw *firewall) ofRoutes(routes []route) []element {
	elements := make([]element, 0, len(routes))
	for _, r := range routes {
		e := nftables.SetElement{
			Key: padded([]byte{r.protocol}, port(r.host.Port())),
			Val: padded(address(r.target.Addr()), port(r.target.Port())),
		}
		set := fw.published
		if !r.host.Addr().IsUnspecified() {
			set, e.Key = fw.at, padded(address(r.host.Addr()), e.Key)
		}
		elements = append(elements, element{set, e})
	}
	return elements
}

func (fw *firewall) addRoutes(routes []route) error    { return fw.add(fw.ofRoutes(routes)) }
func (fw *firewall) removeRoutes(routes []route) error { return fw.remove(fw.ofRoutes(routes)) }

// add puts elements in force. Where somebody in the sandbox has flushed the rules, all are made anew.
func (fw *firewall) add(elements []element) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	err := fw.change(elements, (*nftables.Conn).SetAddElements)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, e := range elements {
		fw.have[e.key()] = e
	}
	if err != nil {
		err = fw.install()
	}
	if err != nil {
		for _, e := range elements {
			delete(fw.have, e.key())
		}
	}
	return err
}

// remove takes elements away. Where some are gone already, because somebody in the sandbox flushed the rules, each goes by
// itself.
func (fw *firewall) remove(elements []element) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for _, e := range elements {
		delete(fw.have, e.key())
	}
	err := fw.change(elements, (*nftables.Conn).SetDeleteElements)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for i := range elements {
		err := fw.change(elements[i:i+1], (*nftables.Conn).SetDeleteElements)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// Bounds of what is sent to the kernel at once: a message holds 64 KiB, an element takes some 80 bytes, and the buffers of a
// socket hold 200 KiB.
const (
	perMessage     = 200
	perTransaction = 5
)

// change adds elements to their sets, or deletes them: a few together, or a thousand a time.
func (fw *firewall) change(elements []element, do func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error) error {
	bySet := map[*nftables.Set][]nftables.SetElement{}
	for _, e := range elements {
		bySet[e.set] = append(bySet[e.set], e.e)
	}
	var steps []func(*nftables.Conn) error
	for set, list := range bySet {
		for some := range slices.Chunk(list, perMessage) {
			steps = append(steps, func(c *nftables.Conn) error { return do(c, set, some) })
		}
	}
	for some := range slices.Chunk(steps, perTransaction) {
		if err := fw.conn.transact(some...); err != nil {
			return err
		}
	}
	return nil
}
