package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets into the headers of IPv4, TCP and UDP.
const (
	offsetSource      = 12
	offsetDestination = 16
	offsetPort        = 2 // destination port
)

// Bits of `ct state` and `ct status` (linux/netfilter/nf_conntrack_common.h).
const (
	ctEstablished = 1 << 1
	ctRelated     = 1 << 2
	ctDNAT        = 1 << 5
)

// Registers of 4 bytes; register 1, of 16, is the first four of them (linux/netfilter/nf_tables.h).
const (
	reg32 = 8 // NFT_REG32_00
	reg16 = 1 // NFT_REG_1
)

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// ifname is an interface's name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// iface matches packets whose interface is, or is not, in a set.
func iface(key expr.MetaKey, s *nftables.Set, in bool) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: reg16},
		&expr.Lookup{SourceRegister: reg16, SetName: s.Name, Invert: !in},
	}
}

// sameInterface matches packets that leave by the interface of the set that they came by. Names take 16 bytes each.
func sameInterface(s *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg16},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg16 + 1},
		&expr.Lookup{SourceRegister: reg16, SetName: s.Name},
	}
}

// fromOrTo loopback matches an address of 127.0.0.0/8 at an offset.
func loopback(offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: reg16, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: []byte{127}},
	}
}

// addressIn matches a destination in a set.
func addressIn(s *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: reg16, Base: expr.PayloadBaseNetworkHeader, Offset: offsetDestination, Len: 4},
		&expr.Lookup{SourceRegister: reg16, SetName: s.Name},
	}
}

// conntrack matches packets whose connection has (or has not) any of the bits.
func conntrack(key expr.CtKey, bits uint32, has bool) []expr.Any {
	op := expr.CmpOpNeq
	if !has {
		op = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg16},
		&expr.Bitwise{
			SourceRegister: reg16, DestRegister: reg16, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: op, Register: reg16, Data: make([]byte, 4)},
	}
}

// forwardBy changes the destination to what a map has for protocol and port, and before them the address where at is set.
func forwardBy(m *nftables.Set, at bool) []expr.Any {
	var exprs []expr.Any
	next := uint32(reg32)
	if at {
		exprs = append(exprs,
			&expr.Payload{DestRegister: next, Base: expr.PayloadBaseNetworkHeader, Offset: offsetDestination, Len: 4})
		next++
	}
	return append(exprs,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: next},
		&expr.Payload{DestRegister: next + 1, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
		&expr.Lookup{SourceRegister: reg16, DestRegister: reg16, IsDestRegSet: true, SetName: m.Name},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg16, RegProtoMin: reg32 + 1, Specified: true},
	)
}

// padded puts values of a concatenation together: each takes a multiple of 4 bytes.
func padded(values ...[]byte) []byte {
	var b []byte
	for _, v := range values {
		b = append(b, v...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

func address(a netip.Addr) []byte {
	b := a.As4()
	return b[:]
}

func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
