package network

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// plug makes the pair of interfaces and sets both ends up. It runs on a thread in the container's namespace, of which in is
// a handle; host is one of the sandbox's. When it fails, unplug removes what there is.
func (e *endpoint) plug(host, in *netlink.Handle, space netlink.NsFd, bridge int, inside string) error {
	e.inside = inside
	name := "veth" + e.id[:7]
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumTxQueues, attrs.NumRxQueues = name, e.segment.mtu, 1, 1
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

// unhook takes the pair, where there is one, off its bridge: 0.3 ms.
func (e *endpoint) unhook() error {
	return e.withPair((*netlink.Handle).LinkSetNoMaster)
}

// unplug deletes the pair, where there is one. It waits for RCU: some 20 ms.
func (e *endpoint) unplug() error {
	return e.withPair((*netlink.Handle).LinkDel)
}

func (e *endpoint) withPair(do func(*netlink.Handle, netlink.Link) error) error {
	if e.veth == "" {
		return nil
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	link, err := nl.LinkByName(e.veth)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) { // it went with its namespace, or somebody in the sandbox deleted it
		return nil
	}
	if err == nil {
		err = do(nl, link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("interface %s: %w", e.veth, err)
	}
	return nil
}
