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

// nameIsFree reports whether no interface has the name of the host's end.
func (l *Link) nameIsFree() (bool, error) {
	_, err := l.host.nl.LinkByName(l.Interface())
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("interface %s: %w", l.Interface(), err)
	}
	return false, nil
}

// makePair makes both interfaces, the sandbox's in its namespace from the start: moving it there later costs two RCU
// waits, about 20 ms.
func (l *Link) makePair(ns *os.File) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{
			Name: l.Interface(), Group: group(l.host.instance), NumTxQueues: 1, NumRxQueues: 1, TxQLen: -1,
		},
		PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd()), PeerNumTxQueues: 1, PeerNumRxQueues: 1, PeerTxQLen: -1,
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

// configureSandbox sets up the namespace: loopback, and eth0 with its address and the default route.
func (l *Link) configureSandbox(ns *os.File) error {
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
	eth0, err := in.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("interface of the sandbox: %w", err)
	}
	if err := noIPv6(in, eth0); err != nil {
		return err
	}
	if err := in.AddrAdd(eth0, address(l.Address)); err != nil {
		return fmt.Errorf("address of eth0: %w", err)
	}
	if err := in.LinkSetUp(eth0); err != nil {
		return fmt.Errorf("eth0 up: %w", err)
	}
	route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: l.Gateway.AsSlice()}
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

// removePair deletes the pair, where the kernel did not do it with the sandbox's namespace. An interface of the name that
// belongs to another is left alone.
func (l *Link) removePair() error {
	link, err := l.host.nl.LinkByName(l.Interface())
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	} else if err != nil {
		return fmt.Errorf("interface %s: %w", l.Interface(), err)
	}
	if link.Attrs().Group != group(l.host.instance) {
		return nil
	}
	if err := ignore(l.host.nl.LinkDel(link), unix.ENODEV); err != nil {
		return fmt.Errorf("delete interface %s: %w", l.Interface(), err)
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
