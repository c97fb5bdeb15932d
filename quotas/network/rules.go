package network

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth/quotas"
)

// maxConnections is how many connections a sandbox may have open through the host: the host's table of connections
// (nf_conntrack_max, often 65536) is shared by all.
const maxConnections = 2048

// smtp is denied unless a policy lists it: mail from a playground is spam.
const smtp = 25

// rules are the chains of one sandbox, and their rules in order.
type rules struct {
	slot    int
	iface   string
	address []byte
	from    [][]expr.Any
	local   [][]expr.Any
	to      [][]expr.Any
}

// rules writes the sandbox's policy down.
func (l *Link) rules(limits quotas.Limits) (*rules, error) {
	allowed, err := quotas.ParsePorts(limits.Egress.Ports)
	if err != nil {
		return nil, err
	}
	r := &rules{slot: l.Slot, iface: l.Interface(), address: l.Address.AsSlice()}
	accept := verdict(expr.VerdictAccept)
	deny := []expr.Any{
		&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: counterOf(l.Slot)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
	honest := [][]expr.Any{ // only IPv4, and only from its own address
		join(isIPv4(false), deny),
		join(isAddress(offsetSource, r.address, false), deny),
	}
	r.to = [][]expr.Any{join(ctState(ctEstablished|ctRelated), accept), verdict(expr.VerdictDrop)}
	if limits.Egress.Deny {
		r.from, r.local = [][]expr.Any{deny}, [][]expr.Any{deny}
		return r, nil
	}

	r.from = honest
	if limits.Bandwidth > 0 {
		r.from = append(r.from, join(moreBytes(limits.Bandwidth), verdict(expr.VerdictDrop)))
	}
	r.from = append(r.from,
		join(ctState(ctEstablished|ctRelated), accept),
		join(ctState(ctInvalid), verdict(expr.VerdictDrop)),
	)
	r.from = append(append(r.from, l.host.services(accept)...),
		join(inSet(offsetDestination, l.host.fw.reserved, false), deny),
		join(toSandbox(true), deny),
	)
	if n := limits.Egress.ConnectionsPerSecond; n > 0 {
		r.from = append(r.from, join(ctState(ctNew), moreNew(n), deny))
	}
	r.from = append(r.from, join(ctState(ctNew), []expr.Any{
		&expr.Connlimit{Count: maxConnections, Flags: expr.NFT_CONNLIMIT_F_INV},
	}, deny))
	r.from = append(r.from, reach(allowed, accept, deny)...)

	r.local = append(append([][]expr.Any{}, honest...), join(ctState(ctEstablished|ctRelated), accept))
	for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		r.local = append(r.local, join(isAddress(offsetDestination, l.Gateway.AsSlice(), true),
			isProtocol(protocol), portIn(53, 53), accept))
	}
	r.local = append(r.local, l.host.services(accept)...) // those on the host itself
	r.local = append(r.local, deny)
	return r, nil
}

// services match what the operator lets sandboxes reach, wherever it is.
func (h *Host) services(accept []expr.Any) [][]expr.Any {
	var out [][]expr.Any
	for _, a := range h.allow {
		out = append(out, join(isAddress(offsetDestination, a.Addr().AsSlice(), true), isProtocol(unix.IPPROTO_TCP), portIn(a.Port(), a.Port()), accept))
	}
	return out
}

// reach ends a chain with the ports that may be reached.
func reach(allowed []quotas.Ports, accept, deny []expr.Any) [][]expr.Any {
	var out [][]expr.Any
	for _, p := range allowed {
		protocol := byte(unix.IPPROTO_TCP)
		if p.UDP {
			protocol = unix.IPPROTO_UDP
		}
		out = append(out, join(isProtocol(protocol), portIn(p.First, p.Last), accept))
	}
	if len(allowed) == 0 {
		out = append(out, join(isProtocol(unix.IPPROTO_TCP), portIn(smtp, smtp), deny))
		for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP} {
			out = append(out, join(isProtocol(protocol), accept))
		}
	}
	return append(out, deny)
}

// moreBytes matches what exceeds the bandwidth, in bits per second.
func moreBytes(bandwidth int64) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePktBytes, Rate: uint64(max(1, bandwidth/8)), Unit: expr.LimitTimeSecond, Over: true,
		Burst: burstOf(bandwidth),
	}}
}

// moreNew matches new connections over n a second; up to a second's worth may come at once.
func moreNew(n int) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePkts, Rate: uint64(n), Unit: expr.LimitTimeSecond, Over: true, Burst: uint32(min(n, 1<<30)),
	}}
}

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
