package network_test

import (
	"net"
	"os"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestLoopbackIsNotReached is a privileged container that sends packets for 127.0.0.0/8 to the sandbox, whose bridges have
// route_localnet: what listens on the workspace's localhost is not for containers.
func TestLoopbackIsNotReached(t *testing.T) {
	l := newLab(t)
	const service = "127.1.2.3:7000"
	sandbox := startSpace(t, func() error { return nil })
	sandbox.serve(t, service, "secret")
	c := enter(t, l.join(t, "evil"))
	c.run(func() {
		must(t, os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0))
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.RouteDel(&netlink.Route{
			LinkIndex: lo.Attrs().Index, Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
			Dst: &net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		}))
		must(t, netlink.RouteAdd(&netlink.Route{
			Dst: &net.IPNet{IP: net.IPv4(127, 1, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}, Gw: net.IPv4(172, 17, 0, 1), Src: net.IPv4(172, 17, 0, 2),
		}))
	})
	if got := c.ask(service); got != "no answer" {
		t.Errorf("a container reaches the workspace's localhost: %q", got)
	}
	// Without the rule it would: so it is the rule that keeps it out.
	nft, err := nftables.New()
	must(t, err)
	nft.FlushChain(&nftables.Chain{Table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "docker"}, Name: "input"})
	must(t, nft.Flush())
	if got := c.ask(service); got != "secret 172.17.0.2" {
		t.Errorf("the test proves nothing: %q", got)
	}
}
