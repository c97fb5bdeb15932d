package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/containerd/errdefs"
)

// allocate takes an address of the network for a container: want, or the lowest that is free. Manager.mu is held.
func (s *segment) allocate(want netip.Addr) (netip.Addr, error) {
	if want.IsValid() {
		switch _, taken := s.used[want]; {
		case !s.Subnet.Contains(want):
			return want, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(
				"invalid endpoint settings:\nno configured subnet or ip-range contain the IP address %s", want))
		case taken || s.reserved(want):
			return want, errdefs.ErrPermissionDenied.WithMessage("Address already in use")
		}
		s.used[want] = struct{}{}
		return want, nil
	}
	pool := s.Subnet
	if s.Range.IsValid() {
		pool = s.Range
	}
	for a := pool.Masked().Addr(); pool.Contains(a); a = a.Next() {
		if _, taken := s.used[a]; !taken && !s.reserved(a) {
			s.used[a] = struct{}{}
			return a, nil
		}
	}
	return want, errdefs.ErrResourceExhausted.WithMessage(
		fmt.Sprintf("no available IPv4 addresses on this network's address pools: %s (%s)", s.Name, s.ID))
}

// reserved reports whether an address is none of a container: the network's own, the gateway's, the broadcast address, and
// those that the request has set aside.
func (s *segment) reserved(a netip.Addr) bool {
	if a == s.Gateway || a == s.Subnet.Masked().Addr() || a == last(s.Subnet) {
		return true
	}
	for _, aux := range s.Aux {
		if a == aux {
			return true
		}
	}
	return false
}

// last is the highest address of an IPv4 network.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | uint32(1<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// macOf is the hardware address for an IPv4 address, as Docker long made it. It moves with the address: neighbours that know
// an address already know the right machine.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}

// pools returns the networks to choose from when a request names none, one after the other: Docker's default-address-pools.
func pools(yield func(netip.Prefix) bool) {
	for second := 18; second < 32; second++ { // 172.17 is the default bridge's
		if !yield(netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(second), 0, 0}), 16)) {
			return
		}
	}
	for third := 0; third < 256; third += 16 {
		if !yield(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(third), 0}), 20)) {
			return
		}
	}
}
