package network

import (
	"fmt"
	"net/netip"
	"slices"
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
