package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
)

// wish is one published port as it was asked for.
type wish struct {
	container   network.Port
	hosts       []netip.Addr // addresses to publish on
	first, last uint16       // host ports to choose from, both 0: any
}

func (w wish) exact() bool { return w.first != 0 && w.first == w.last }

// wishes reads what a container wants published, exact ports first: a range may contain them.
func wishes(j Join, hostIP netip.Addr) ([]wish, error) {
	all := network.PortMap{}
	for p, b := range j.Ports {
		all[p] = b
	}
	if j.PublishAll {
		for p := range j.Exposed {
			if len(all[p]) == 0 {
				all[p] = []network.PortBinding{{}}
			}
		}
	}
	var list []wish
	for p, bindings := range all {
		if p.Proto() != network.TCP && p.Proto() != network.UDP {
			return nil, errdefs.ErrInvalidArgument.WithMessage(
				fmt.Sprintf("publishing ports of protocol %s is not supported in this playground", p.Proto()))
		}
		for _, b := range bindings {
			w := wish{container: p}
			var err error
			if w.first, w.last, err = hostPorts(b.HostPort); err != nil {
				return nil, err
			}
			if w.hosts, err = hostAddresses(b.HostIP, hostIP, p.Proto()); err != nil {
				return nil, err
			}
			list = append(list, w)
		}
	}
	slices.SortFunc(list, wish.compare)
	return list, nil
}

func (w wish) compare(o wish) int {
	if w.exact() != o.exact() {
		if w.exact() {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(w.container.Num(), o.container.Num()), cmp.Compare(w.container.Proto(), o.container.Proto()),
		cmp.Compare(w.first, o.first), slices.CompareFunc(w.hosts, o.hosts, netip.Addr.Compare),
	)
}

// hostPorts reads "", "80" or "8000-8010".
func hostPorts(s string) (first, last uint16, err error) {
	if s == "" {
		return 0, 0, nil
	}
	low, high, isRange := strings.Cut(s, "-")
	a, err := strconv.ParseUint(low, 10, 16)
	b := a
	if err == nil && isRange {
		b, err = strconv.ParseUint(high, 10, 16)
	}
	if err != nil || b < a || a == 0 && b != 0 {
		return 0, 0, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid port specification: %q", s))
	}
	return uint16(a), uint16(b), nil
}

// hostAddresses are where to publish. UDP over IPv6 has no way to a container without IPv6.
func hostAddresses(asked, preset netip.Addr, protocol network.IPProtocol) ([]netip.Addr, error) {
	if !asked.IsValid() {
		asked = preset
	}
	switch asked = asked.Unmap(); {
	case asked.IsValid() && asked.Is4():
		return []netip.Addr{asked}, nil
	case asked.IsValid() && protocol == network.UDP:
		return nil, errdefs.ErrInvalidArgument.WithMessage(
			fmt.Sprintf("publishing UDP ports on the IPv6 address %s is not supported in this playground", asked))
	case asked.IsValid():
		return []netip.Addr{asked}, nil
	case protocol == network.UDP || !hasIPv6():
		return []netip.Addr{netip.IPv4Unspecified()}, nil
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
}

// hasIPv6 reports whether sockets of IPv6 can be bound here.
func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
