package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// addrGenNone keeps the kernel from giving an interface an IPv6 address (IN6_ADDR_GEN_MODE_NONE, linux/if_link.h).
const addrGenNone = 1

// makePair makes both interfaces. EEXIST: somebody has one of that name.
func (l *Link) makePair() error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{
			Name: l.Interface(), Group: group(l.host.instance), NumTxQueues: 1, NumRxQueues: 1, TxQLen: -1,
		},
		PeerName: l.peer(), PeerNumTxQueues: 1, PeerNumRxQueues: 1, PeerTxQLen: -1,
	}
	if err := l.host.nl.LinkAdd(pair); err != nil {
		return fmt.Errorf("make interface %s: %w", l.Interface(), err)
	}
	if err := l.host.nl.LinkSetAlias(pair, "berth:"+l.owner()); err != nil { // for people: ip link
		return errors.Join(fmt.Errorf("alias of %s: %w", l.Interface(), err), l.host.nl.LinkDel(pair))
	}
	return nil
}

// configureHost sets up the host's end: address, download limit, no spoofed sources, no IPv6.
func (l *Link) configureHost(bandwidth int64) error {
	link, err := l.host.nl.LinkByName(l.Interface())
	if err != nil {
		return fmt.Errorf("interface %s: %w", l.Interface(), err)
	}
	if err := noIPv6(l.host.nl, link); err != nil {
		return err
	}
	if err := l.host.nl.AddrAdd(link, address(l.Gateway)); err != nil {
		return fmt.Errorf("address of %s: %w", l.Interface(), err)
	}
	if bandwidth > 0 {
		if err := l.host.nl.QdiscReplace(shaper(link.Attrs().Index, bandwidth)); err != nil {
			return fmt.Errorf("bandwidth of %s: %w", l.Interface(), err)
		}
	}
	file := "/proc/sys/net/ipv4/conf/" + l.Interface() + "/rp_filter"
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return fmt.Errorf("interface %s: %w", l.Interface(), err)
	}
	if err := l.host.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s up: %w", l.Interface(), err)
	}
	return nil
}

// configureSandbox moves the peer into the namespace and makes it eth0, with a default route.
func (l *Link) configureSandbox(ns *os.File) error {
	peer, err := l.host.nl.LinkByName(l.peer())
	if err != nil {
		return fmt.Errorf("interface %s: %w", l.peer(), err)
	}
	if err := l.host.nl.LinkSetNsFd(peer, int(ns.Fd())); err != nil {
		return fmt.Errorf("move %s into the sandbox: %w", l.peer(), err)
	}
	in, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink in the sandbox: %w", err)
	}
	defer in.Close()
	lo, err := in.LinkByName("lo")
	if err == nil {
		err = in.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback of the sandbox: %w", err)
	}
	if peer, err = in.LinkByName(l.peer()); err != nil { // its index may be another there
		return fmt.Errorf("interface of the sandbox: %w", err)
	}
	return l.configurePeer(in, peer)
}

func (l *Link) configurePeer(in *netlink.Handle, peer netlink.Link) error {
	if err := noIPv6(in, peer); err != nil {
		return err
	}
	if err := in.LinkSetName(peer, "eth0"); err != nil {
		return fmt.Errorf("name eth0: %w", err)
	}
	if err := in.AddrAdd(peer, address(l.Address)); err != nil {
		return fmt.Errorf("address of eth0: %w", err)
	}
	if err := in.LinkSetUp(peer); err != nil {
		return fmt.Errorf("eth0 up: %w", err)
	}
	route := &netlink.Route{LinkIndex: peer.Attrs().Index, Gw: l.Gateway.AsSlice()}
	if err := in.RouteAdd(route); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// noIPv6 leaves an interface without addresses of IPv6, which no rule here lets through. A kernel without it is fine.
func noIPv6(nl *netlink.Handle, link netlink.Link) error {
	err := nl.LinkSetIP6AddrGenMode(link, addrGenNone)
	if err = ignore(err, unix.EAFNOSUPPORT, unix.EOPNOTSUPP); err != nil {
		return fmt.Errorf("IPv6 of %s: %w", link.Attrs().Name, err)
	}
	return nil
}

func address(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32-slotBits, 32)}}
}

// removePair deletes the pair; one of another owner that has the name is left alone.
func (l *Link) removePair() error {
	for _, name := range []string{l.Interface(), l.peer()} {
		link, err := l.host.nl.LinkByName(name)
		var none netlink.LinkNotFoundError
		if errors.As(err, &none) {
			continue // with the namespace of the sandbox the kernel takes both
		} else if err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
		if name == l.Interface() && link.Attrs().Group != group(l.host.instance) {
			return nil
		}
		if err := ignore(l.host.nl.LinkDel(link), unix.ENODEV, unix.EINVAL); err != nil {
			return fmt.Errorf("delete interface %s: %w", name, err)
		}
		break
	}
	return nil
}

// sweepPairs deletes interfaces of this instance that no claim stands for.
func (h *Host) sweepPairs() error {
	links, err := h.nl.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	var errs []error
	for _, link := range links {
		a := link.Attrs()
		slot, ok := slotOf(a.Name)
		if !ok || a.Group != group(h.instance) || strings.HasPrefix(h.claims.owner(slot), h.instance+":") {
			continue
		}
		if err := ignore(h.nl.LinkDel(link), unix.ENODEV); err != nil {
			errs = append(errs, fmt.Errorf("delete interface %s: %w", a.Name, err))
		}
	}
	return errors.Join(errs...)
}
