package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// neverReached are the networks that no sandbox reaches, whatever its policy: those that are not the public internet
// (IANA IPv4 Special-Purpose Address Registry, RFC 6890), with the metadata services of clouds in 169.254.0.0/16.
func neverReached() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"168.63.129.16/32", // Azure's host agent: a public address that answers every machine there
		"192.0.0.192/32",   // Oracle Cloud's metadata
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// span is a closed range of IPv4 addresses.
type span struct{ first, last uint32 }

// spans sorts and merges networks: a set of nftables may not hold overlapping ones.
func spans(prefixes []netip.Prefix) ([]span, error) {
	all := make([]span, 0, len(prefixes))
	for _, p := range prefixes {
		if !p.IsValid() || !p.Addr().Is4() {
			return nil, fmt.Errorf("denied network %s: want an IPv4 network like 10.0.0.0/8", p)
		}
		b := p.Masked().Addr().As4()
		first := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		all = append(all, span{first, first | uint32(1<<(32-p.Bits())-1)})
	}
	slices.SortFunc(all, func(a, b span) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	var merged []span
	for _, s := range all {
		if n := len(merged); n > 0 && uint64(s.first) <= uint64(merged[n-1].last)+1 {
			merged[n-1].last = max(merged[n-1].last, s.last)
			continue
		}
		merged = append(merged, s)
	}
	return merged, nil
}

// ports is one entry of quotas.Egress.Ports.
type ports struct {
	protocol    byte // unix.IPPROTO_TCP or IPPROTO_UDP
	first, last uint16
}

// parsePorts reads "443", "8000-8999", "53/udp", "443/tcp".
func parsePorts(list []string) ([]ports, error) {
	var all []ports
	for _, s := range list {
		p := ports{protocol: unix.IPPROTO_TCP}
		numbers, protocol, _ := strings.Cut(s, "/")
		switch {
		case protocol == "udp":
			p.protocol = unix.IPPROTO_UDP
		case protocol != "tcp" && protocol != "" || strings.HasSuffix(s, "/"):
			return nil, fmt.Errorf("egress port %q: want tcp or udp behind the slash", s)
		}
		first, last, isRange := strings.Cut(numbers, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || a == 0 || b < a {
			return nil, fmt.Errorf(`egress port %q: want a port or range, like "443", "8000-8999" or "53/udp"`, s)
		}
		p.first, p.last = uint16(a), uint16(b)
		all = append(all, p)
	}
	return all, nil
}
