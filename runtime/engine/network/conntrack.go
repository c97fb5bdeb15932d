package network

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetFlows makes the kernel forget where it sends packets of published UDP ports: flows that it knows go on to where
// they went, also when that container has gone. It is best effort: flows end by themselves half a minute after the last packet.
func (m *Manager) forgetFlows(routes []route) {
	ports := map[uint16]bool{}
	for _, r := range routes {
		if r.protocol == unix.IPPROTO_UDP {
			ports[r.host.Port()] = true
		}
	}
	if len(ports) == 0 {
		return
	}
	filters := make([]netlink.CustomConntrackFilter, 0, len(ports))
	for p := range ports {
		f := &netlink.ConntrackFilter{}
		if err := f.AddProtocol(unix.IPPROTO_UDP); err != nil {
			return
		}
		if err := f.AddPort(netlink.ConntrackOrigDstPort, p); err != nil {
			return
		}
		filters = append(filters, f)
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filters...); err != nil {
		m.log.Debug("flows of published UDP ports stay for now", "error", err)
	}
}
