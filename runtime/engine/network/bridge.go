package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addrGenNone keeps the kernel from giving an interface an IPv6 address (IN6_ADDR_GEN_MODE_NONE, linux/if_link.h).
const addrGenNone = 1

// bringUp makes a network's bridge and rules, where they are not there yet, and returns the bridge's index.
func (m *Manager) bringUp(s *segment) (int, error) {
	s.making.Lock()
	defer s.making.Unlock()
	if s.index != 0 {
		return s.index, nil
	}
	m.mu.Lock()
	removed := s.removed
	m.mu.Unlock()
	if removed {
		return 0, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("network %s not found", s.ID))
	}
	fw, err := m.prepare()
	if err != nil {
		return 0, err
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	s.mtu = s.Bridge.MTU
	if s.mtu == 0 {
		s.mtu = m.mtu // set by prepare
	}
	link, err := makeBridge(nl, s)
	if err != nil {
		return 0, fmt.Errorf("network %s: %w", s.Name, err)
	}
	if err := fw.addBridge(s); err != nil {
		return 0, errors.Join(fmt.Errorf("network %s: %w", s.Name, err), nl.LinkDel(link))
	}
	s.index = link.Attrs().Index
	return s.index, nil
}

// makeBridge makes the interface, with the gateway's address. When it fails nothing is left.
func makeBridge(nl *netlink.Handle, s *segment) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = s.Bridge.Interface, s.mtu
	// With an address of its own a bridge keeps it when ports come and go; otherwise containers' neighbour tables are wrong.
	attrs.HardwareAddr = randomMAC()
	link := &netlink.Bridge{LinkAttrs: attrs}
	if err := nl.LinkAdd(link); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("bridge name %s is already in use: choose another with -o %s", attrs.Name, optionName)
		}
		return nil, fmt.Errorf("make bridge %s: %w", attrs.Name, err)
	}
	err := noIPv6(nl, link)
	if err == nil {
		err = nl.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{
			IP: s.Gateway.AsSlice(), Mask: net.CIDRMask(s.Subnet.Bits(), s.Subnet.Addr().BitLen()),
		}})
	}
	if err == nil {
		// A program in the sandbox that connects to a published port on 127.0.0.1 comes out of the bridge.
		err = sysctl("net/ipv4/conf/"+attrs.Name+"/route_localnet", "1")
	}
	if err == nil {
		err = nl.LinkSetUp(link)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up bridge %s: %w", attrs.Name, err), nl.LinkDel(link))
	}
	return link, nil
}

// takeDown removes a network's bridge and rules, where they are there.
func (m *Manager) takeDown(s *segment) error {
	s.making.Lock()
	defer s.making.Unlock()
	if s.index == 0 {
		return nil
	}
	fw, err := m.prepare()
	if err == nil {
		err = fw.removeBridge(s)
	}
	nl, e := netlink.NewHandle(unix.NETLINK_ROUTE)
	if e != nil {
		return errors.Join(err, e)
	}
	defer nl.Close()
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: s.index}}
	if e := nl.LinkDel(link); e != nil && !errors.Is(e, unix.ENODEV) {
		return errors.Join(err, fmt.Errorf("delete bridge %s: %w", s.Bridge.Interface, e))
	}
	s.index = 0
	return err
}

// noIPv6 leaves an interface without addresses of IPv6, which no network here has. A kernel without it is fine.
func noIPv6(nl *netlink.Handle, link netlink.Link) error {
	err := nl.LinkSetIP6AddrGenMode(link, addrGenNone)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("IPv6 of %s: %w", link.Attrs().Name, err)
	}
	return nil
}

func randomMAC() net.HardwareAddr {
	b := make([]byte, 6)
	_, _ = rand.Read(b)   // never fails: crypto/rand
	b[0] = b[0]&^1 | 0x02 // of one machine, and made here
	return b
}
