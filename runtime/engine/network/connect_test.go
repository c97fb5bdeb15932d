package network_test

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"
	networktypes "github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"

	"berth/runtime/engine/network"
)

func TestConnectLive(t *testing.T) {
	l := newLab(t)
	l.create(t, "app")
	l.create(t, "back", func(r *networktypes.CreateRequest) { r.Internal = true })
	web := l.join(t, "web", publish("80/tcp", ""))
	db := l.join(t, "db", in("back", nil))
	port := web.Ports[networktypes.MustParsePort("80/tcp")][0].HostPort
	inWeb, inDB := enter(t, web), enter(t, db)
	inWeb.serve(t, ":80", "web")
	inDB.serve(t, ":80", "db")
	l.world.serve(t, ":80", "world")
	if got := inWeb.ask("172.19.0.2:80"); got == "db 172.19.0.3" || !strings.Contains(got, "no answer") {
		t.Errorf("not connected yet: %q", got)
	}
	j, err := l.Connect(t.Context(), "back", identity("web"), &networktypes.EndpointSettings{Aliases: []string{"front"}})
	must(t, err)
	if e := j.Endpoints["back"]; e == nil || e.IPAddress.String() != "172.19.0.3" || j.NetNS != web.NetNS {
		t.Errorf("%+v", j)
	}
	if !strings.Contains(j.ResolvConf, "127.0.0.11") || !strings.Contains(j.Hosts, "172.19.0.3\tweb\n") {
		t.Errorf("%s\n%s", j.ResolvConf, j.Hosts)
	}
	for _, c := range []struct{ who, got, want string }{
		{"connected", inWeb.ask("172.19.0.2:80"), "db 172.19.0.3"},
		{"by alias", inDB.lookUp(t, "udp", "front", dns.TypeA), "NOERROR 172.19.0.3"},
		{"still out", inWeb.ask(world + ":80"), "world " + uplink},
		{"internal", inDB.ask(world + ":80"), "network is unreachable"},
		{"upstream, internal", inDB.lookUp(t, "udp", "example.org", dns.TypeA), "SERVFAIL"},
		{"published", askFromHere("127.0.0.1:" + port), "web 172.17.0.1"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.who, c.got, c.want)
		}
	}
	_, err = l.Connect(t.Context(), "back", identity("web"), nil)
	if !errdefs.IsPermissionDenied(err) || err.Error() != "endpoint with name web already exists in network back" {
		t.Error(err)
	}
	// Another way out, of a higher priority: route and ports move there, and the port stays the same.
	_, err = l.Connect(t.Context(), "app", identity("web"), &networktypes.EndpointSettings{GwPriority: 1})
	must(t, err)
	if got := askFromHere("127.0.0.1:" + port); got != "web 172.18.0.1" {
		t.Errorf("published on the new gateway: %q", got)
	}
	if got := inWeb.ask(world + ":80"); got != "world "+uplink {
		t.Error(got)
	}
	for _, n := range []string{"bridge", "app"} {
		_, err = l.Disconnect(t.Context(), n, identity("web"))
		must(t, err)
	}
	if got := inWeb.ask(world + ":80"); got != "network is unreachable" {
		t.Errorf("no way out is left: %q", got)
	}
	if got := askFromHere("127.0.0.1:" + port); got != "connection refused" {
		t.Errorf("published without a way out: %q", got)
	}
	inWeb.run(func() {
		links, err := netlink.LinkList()
		must(t, err)
		if len(links) > 2 {
			t.Log("interfaces are deleted in the background") // checked by the inventory
		}
	})
	_, err = l.Disconnect(t.Context(), "app", identity("web"))
	if err == nil || err.Error() != "container "+identity("web")+" is not connected to network app" {
		t.Error(err)
	}
	if _, err := l.Connect(t.Context(), "app", identity("nobody"), nil); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

func TestModes(t *testing.T) {
	l := newLab(t)
	l.create(t, "app")
	none := l.join(t, "alone", in("none", nil))
	alone := enter(t, none)
	alone.run(func() {
		links, err := netlink.LinkList()
		must(t, err)
		if len(links) != 1 || links[0].Attrs().Flags&net.FlagUp == 0 {
			t.Errorf("%+v", links)
		}
	})
	host := l.join(t, "host", in("host", nil), publish("80/tcp", "8080"))
	if host.NetNS != "" || host.Endpoints["host"] == nil || len(host.Ports) > 0 {
		t.Errorf("%+v", host)
	}
	if byName := l.join(t, "shared", in("container:alone", nil)); byName.NetNS != none.NetNS {
		t.Errorf("%+v", byName)
	}
	shared := l.join(t, "shared", in("container:"+identity("alone"), nil))
	if shared.NetNS != none.NetNS || shared.Hosts != "" {
		t.Errorf("%+v", shared)
	}
	_, err := l.Connect(t.Context(), "app", identity("alone"), nil)
	if err == nil || err.Error() != "container cannot be connected to multiple networks with one of the networks in private (none) mode" {
		t.Error(err)
	}
	_, err = l.Disconnect(t.Context(), "none", identity("alone"))
	must(t, err)
	j, err := l.Connect(t.Context(), "app", identity("alone"), nil)
	must(t, err)
	if j.Endpoints["app"].IPAddress.String() != "172.18.0.2" || len(j.Endpoints) != 1 {
		t.Errorf("%+v", j)
	}
	for _, c := range []struct{ network, container string }{{"app", "host"}, {"host", "alone"}} {
		_, err := l.Connect(t.Context(), c.network, identity(c.container), nil)
		if err == nil || err.Error() != "container cannot be disconnected from host network or connected to host network" {
			t.Error(err)
		}
	}
	for mode, is := range map[string]func(error) bool{"nope": errdefs.IsNotFound, "container:" + identity("gone"): errdefs.IsConflict} {
		if _, err := l.Join(t.Context(), network.Join{ContainerID: identity("x"), Name: "x", Mode: mode}); !is(err) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestSettings(t *testing.T) {
	l := newLab(t)
	l.create(t, "app", subnet("10.7.0.0/24", "", ""))
	l.create(t, "auto")
	fixed := func(n, ip string) map[string]*networktypes.EndpointSettings {
		return map[string]*networktypes.EndpointSettings{n: {IPAMConfig: &networktypes.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(ip)}}}
	}
	mac := networktypes.HardwareAddr{2, 0, 0, 0, 0, 9}
	settings := fixed("app", "10.7.0.77")
	settings["app"].MacAddress = mac
	j := l.join(t, "one", in("app", settings))
	if e := j.Endpoints["app"]; e.IPAddress.String() != "10.7.0.77" || e.MacAddress.String() != mac.String() {
		t.Errorf("%+v", e)
	}
	enter(t, j).run(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		if link.Attrs().HardwareAddr.String() != mac.String() {
			t.Error(link.Attrs().HardwareAddr)
		}
	})
	for _, c := range []struct {
		mode      string
		endpoints map[string]*networktypes.EndpointSettings
		want      string
	}{
		{"app", fixed("app", "10.7.0.77"), "Address already in use"},
		{"app", fixed("app", "10.7.0.1"), "Address already in use"},
		{"app", fixed("app", "10.8.0.2"), "no configured subnet or ip-range contain the IP address 10.8.0.2"},
		{"auto", fixed("auto", "172.18.0.9"), "user specified IP address is supported only when connecting to networks with user configured subnets"},
		{"bridge", fixed("bridge", "172.17.0.9"), "user specified IP address is supported on user defined networks only"},
		{"bridge", map[string]*networktypes.EndpointSettings{"bridge": {Aliases: []string{"a"}}}, "network-scoped alias is supported only for containers in user defined networks"},
		{"app", map[string]*networktypes.EndpointSettings{"app": {DriverOpts: map[string]string{"a": "b"}}}, "DriverOpts.a is not supported"},
		{"host", map[string]*networktypes.EndpointSettings{"app": {}}, "conflicting options"},
	} {
		_, err := l.Join(t.Context(), network.Join{ContainerID: identity("x"), Name: "x", Mode: c.mode, Endpoints: c.endpoints})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	two := l.join(t, "two", in("app", map[string]*networktypes.EndpointSettings{
		"auto": {DriverOpts: map[string]string{"com.docker.network.endpoint.ifname": "mine0"}}, "bridge": nil,
	}))
	enter(t, two).run(func() {
		for _, name := range []string{"eth0", "mine0", "eth1"} {
			if _, err := netlink.LinkByName(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if len(two.Endpoints) != 3 {
		t.Errorf("%+v", two.Endpoints)
	}
}

func TestIsolation(t *testing.T) {
	l := newLab(t)
	l.create(t, "a")
	l.create(t, "b")
	l.create(t, "quiet", option("com.docker.network.bridge.enable_icc", "false"))
	l.create(t, "inner", func(r *networktypes.CreateRequest) { r.Internal = true })
	spaces := map[string]*space{}
	for name, n := range map[string]string{"a1": "a", "b1": "b", "q1": "quiet", "q2": "quiet", "i1": "inner", "i2": "inner"} {
		j := l.join(t, name, in(n, nil), publish("80/tcp", ""))
		spaces[name] = enter(t, j)
		spaces[name].serve(t, ":80", name)
		spaces[name+" "+j.Endpoints[n].IPAddress.String()] = nil
	}
	address := func(name string) string {
		for key := range spaces {
			if ip, ok := strings.CutPrefix(key, name+" "); ok {
				return ip + ":80"
			}
		}
		return ""
	}
	l.world.serve(t, ":80", "world")
	for _, c := range []struct{ from, to, want string }{
		{"a1", "b1", "no answer"},
		{"b1", "a1", "no answer"},
		{"q1", "q2", "no answer"},
		{"a1", "i1", "no answer"},
		{"i1", "a1", "network is unreachable"},
		{"i1", "i2", "i2"},
		{"i2", "i1", "i1"},
	} {
		if got := spaces[c.from].ask(address(c.to)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	for _, name := range []string{"a1", "q1"} {
		if got := spaces[name].ask(world + ":80"); got != "world "+uplink {
			t.Errorf("%s out: %q", name, got)
		}
	}
	for _, name := range []string{"a1", "q1", "i1"} {
		if got := askFromHere(address(name)); !strings.HasPrefix(got, name) {
			t.Errorf("the sandbox to %s: %q", name, got)
		}
	}
}

// TestAtOnce joins and leaves many at once, and no two get the same address.
func TestAtOnce(t *testing.T) {
	l := newLab(t)
	l.create(t, "app")
	for range 3 {
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[netip.Addr]string{}
		for i := range 20 {
			all.Go(func() {
				name := "c" + strconv.Itoa(i)
				j := l.join(t, name, in("app", nil), publish("80/tcp", strconv.Itoa(9000+i)))
				mu.Lock()
				defer mu.Unlock()
				if other := seen[j.Endpoints["app"].IPAddress]; other != "" {
					t.Errorf("%s and %s have %s", name, other, j.Endpoints["app"].IPAddress)
				}
				seen[j.Endpoints["app"].IPAddress] = name
			})
		}
		all.Wait()
		for i := range 20 {
			all.Go(func() { l.leave(t, "c"+strconv.Itoa(i)) })
		}
		all.Wait()
	}
	must(t, l.Remove(t.Context(), "app"))
}
