package network_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	networktypes "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/network"
)

func TestDefaultBridge(t *testing.T) {
	l := newLab(t)
	a, b := l.join(t, "first"), l.join(t, "second")
	for name, want := range map[string]string{"first": "172.17.0.2", "second": "172.17.0.3"} {
		j := a
		if name == "second" {
			j = b
		}
		e := j.Endpoints["bridge"]
		if e == nil || e.IPAddress.String() != want || e.IPPrefixLen != 16 || e.Gateway.String() != "172.17.0.1" || len(e.DNSNames) > 0 {
			t.Errorf("%+v", e)
		}
		if !strings.Contains(j.Hosts, "\n"+want+"\t"+name+"\n") || !strings.Contains(j.ResolvConf, "nameserver 127.53.0.1\n") {
			t.Errorf("hosts:\n%s\nresolv.conf:\n%s", j.Hosts, j.ResolvConf)
		}
	}
	first, second := enter(t, a), enter(t, b)
	first.run(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		if got := link.Attrs().HardwareAddr.String(); got != "02:42:ac:11:00:02" || a.Endpoints["bridge"].MacAddress.String() != got {
			t.Error(got)
		}
		addrs, err := netlink.AddrList(link, unix.AF_UNSPEC)
		must(t, err)
		if len(addrs) != 1 || addrs[0].IPNet.String() != "172.17.0.2/16" {
			t.Error(addrs)
		}
		routes, err := netlink.RouteList(nil, unix.AF_INET)
		must(t, err)
		if len(routes) != 2 {
			t.Error(routes)
		}
	})
	first.serve(t, ":80", "first")
	l.world.serve(t, ":80", "world")
	for _, c := range []struct {
		who, got, want string
	}{
		{"the other container", second.ask("172.17.0.2:80"), "first 172.17.0.3"},
		{"itself", first.ask("127.0.0.1:80"), "first 127.0.0.1"},
		{"the sandbox", askFromHere("172.17.0.2:80"), "first 172.17.0.1"},
		{"the world, from a container", first.ask(world + ":80"), "world " + uplink},
		{"a container, from the world", l.world.ask("172.17.0.2:80"), "network is unreachable"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.who, c.got, c.want)
		}
	}
	must(t, l.Leave(t.Context(), identity("first")))
	must(t, l.Leave(t.Context(), identity("first")))
}

func TestPublish(t *testing.T) {
	l := newLab(t)
	web := l.join(t, "web", func(j *network.Join) {
		j.Ports = networktypes.PortMap{
			networktypes.MustParsePort("80/tcp"): {{HostPort: "8080"}, {HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "8081"}},
			networktypes.MustParsePort("81/tcp"): {{HostPort: ""}},
		}
		j.Exposed = networktypes.PortSet{networktypes.MustParsePort("99/tcp"): {}}
	})
	other := enter(t, l.join(t, "other"))
	self := enter(t, web)
	self.serve(t, ":80", "web")
	self.serve(t, ":81", "web81")
	got := web.Ports[networktypes.MustParsePort("81/tcp")]
	if len(got) != 2 || got[0].HostPort != "32768" || got[1].HostIP != netip.IPv6Unspecified() {
		t.Errorf("%+v", got)
	}
	if got, ok := web.Ports[networktypes.MustParsePort("99/tcp")]; !ok || got != nil {
		t.Errorf("%+v", web.Ports)
	}
	for _, c := range []struct {
		who, got, want string
	}{
		{"localhost", askFromHere("127.0.0.1:8080"), "web 172.17.0.1"},
		{"0.0.0.0", askFromHere("0.0.0.0:8080"), "web 172.17.0.1"},
		{"localhost, IPv6", askFromHere("[::1]:8080"), "web 172.17.0.1"},
		{"the sandbox's address", askFromHere(uplink + ":8080"), "web " + uplink},
		{"the bridge's address", askFromHere("172.17.0.1:8080"), "web 172.17.0.1"},
		{"any port", askFromHere("127.0.0.1:32768"), "web81 172.17.0.1"},
		{"only on 127.0.0.1", askFromHere("127.0.0.1:8081"), "web 172.17.0.1"},
		{"elsewhere", askFromHere(uplink + ":8081"), "connection refused"},
		{"another container", other.ask("172.17.0.1:8080"), "web 172.17.0.1"},
		{"another container, at the sandbox's address", other.ask(uplink + ":8080"), "web 172.17.0.1"},
		{"itself", self.ask("172.17.0.1:8080"), "web 172.17.0.1"},
		{"the world", l.world.ask(uplink + ":8080"), "web " + world},
		{"not through to others", other.ask(world + ":8080"), "connection refused"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.who, c.got, c.want)
		}
	}
	l.leave(t, "web")
	if got := askFromHere("127.0.0.1:8080"); got != "connection refused" {
		t.Errorf("after it left: %q", got)
	}
}
