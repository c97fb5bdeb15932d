package network_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	networktypes "github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"

	"berth/runtime/engine/events"
	"berth/runtime/engine/filter"
	"berth/runtime/engine/network"
)

func (l *lab) create(t testing.TB, name string, change ...func(*networktypes.CreateRequest)) string {
	t.Helper()
	r := networktypes.CreateRequest{Name: name}
	for _, c := range change {
		c(&r)
	}
	made, err := l.Create(t.Context(), r)
	must(t, err)
	return made.ID
}

func subnet(s, gateway, ipRange string) func(*networktypes.CreateRequest) {
	return func(r *networktypes.CreateRequest) {
		c := networktypes.IPAMConfig{Subnet: netip.MustParsePrefix(s)}
		if gateway != "" {
			c.Gateway = netip.MustParseAddr(gateway)
		}
		if ipRange != "" {
			c.IPRange = netip.MustParsePrefix(ipRange)
		}
		r.IPAM = &networktypes.IPAM{Config: []networktypes.IPAMConfig{c}}
	}
}

func option(name, value string) func(*networktypes.CreateRequest) {
	return func(r *networktypes.CreateRequest) { r.Options = map[string]string{name: value} }
}

func TestCreateRefuses(t *testing.T) {
	l := newLab(t)
	l.create(t, "taken", subnet("10.1.0.0/16", "", ""), option("com.docker.network.bridge.name", "br0"))
	yes, no := true, false
	for _, c := range []struct {
		change func(*networktypes.CreateRequest)
		is     func(error) bool
		want   string // in the message
	}{
		{func(r *networktypes.CreateRequest) { r.Name = "" }, errdefs.IsInvalidArgument, "name is empty"},
		{func(r *networktypes.CreateRequest) { r.Name = "taken" }, errdefs.IsConflict, "network with name taken already exists"},
		{func(r *networktypes.CreateRequest) { r.Name = "bridge" }, errdefs.IsPermissionDenied, "operation is not permitted on predefined bridge network "},
		{func(r *networktypes.CreateRequest) { r.Driver = "macvlan" }, errdefs.IsNotFound, `plugin "macvlan" not found`},
		{func(r *networktypes.CreateRequest) { r.Driver = "ipvlan" }, errdefs.IsNotFound, `plugin "ipvlan" not found`},
		{func(r *networktypes.CreateRequest) { r.Driver = "overlay" }, errdefs.IsPermissionDenied, "This node is not a swarm manager."},
		{func(r *networktypes.CreateRequest) { r.Driver = "host" }, errdefs.IsPermissionDenied, `only one instance of "host" network is allowed`},
		{func(r *networktypes.CreateRequest) { r.EnableIPv6 = &yes }, errdefs.IsInvalidArgument, "EnableIPv6"},
		{func(r *networktypes.CreateRequest) { r.EnableIPv4 = &no }, errdefs.IsInvalidArgument, "EnableIPv4"},
		{func(r *networktypes.CreateRequest) { r.Scope = "swarm" }, errdefs.IsInvalidArgument, "Scope"},
		{func(r *networktypes.CreateRequest) { r.Ingress = true }, errdefs.IsInvalidArgument, "Ingress"},
		{func(r *networktypes.CreateRequest) { r.ConfigOnly = true }, errdefs.IsInvalidArgument, "ConfigOnly"},
		{func(r *networktypes.CreateRequest) { r.ConfigFrom = &networktypes.ConfigReference{Network: "x"} }, errdefs.IsInvalidArgument, "ConfigFrom"},
		{func(r *networktypes.CreateRequest) { r.IPAM = &networktypes.IPAM{Driver: "dhcp"} }, errdefs.IsNotFound, `plugin "dhcp" not found`},
		{func(r *networktypes.CreateRequest) { r.IPAM = &networktypes.IPAM{Options: map[string]string{"a": "b"}} }, errdefs.IsInvalidArgument, "IPAM option a"},
		{subnet("10.1.128.0/17", "", ""), errdefs.IsPermissionDenied, "invalid pool request: Pool overlaps with other one on this address space"},
		{subnet("10.2.0.1/16", "", ""), errdefs.IsInvalidArgument, "invalid network config:\ninvalid subnet 10.2.0.1/16: it should be 10.2.0.0/16"},
		{subnet("10.2.0.0/16", "10.3.0.1", ""), errdefs.IsInvalidArgument, "invalid gateway 10.3.0.1: parent subnet 10.2.0.0/16 doesn't contain this address"},
		{subnet("10.2.0.0/16", "", "10.3.0.0/24"), errdefs.IsInvalidArgument, "invalid ip-range 10.3.0.0/24: parent subnet 10.2.0.0/16 doesn't contain ip-range"},
		{subnet("10.2.0.0/16", "", "10.0.0.0/8"), errdefs.IsInvalidArgument, "CIDR block is bigger than its parent subnet"},
		{subnet("fd00::/64", "", ""), errdefs.IsInvalidArgument, "IPv6 is not supported"},
		{option("com.docker.network.bridge.name", "br0"), errdefs.IsPermissionDenied, "networks have same bridge name"},
		{option("com.docker.network.bridge.name", "eth0"), func(error) bool { return true }, "bridge name eth0 is already in use"},
		{option("com.docker.network.bridge.name", "../x"), errdefs.IsInvalidArgument, "invalid bridge name"},
		{option("com.docker.network.bridge.enable_icc", "maybe"), errdefs.IsInvalidArgument, "enable_icc"},
		{option("com.docker.network.driver.mtu", "1"), errdefs.IsInvalidArgument, "MTU"},
		{option("parent", "eth0"), errdefs.IsInvalidArgument, "driver option parent is not supported"},
	} {
		r := networktypes.CreateRequest{Name: "mine"}
		c.change(&r)
		_, err := l.Create(t.Context(), r)
		if !c.is(err) || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if list, err := l.List(nil); err != nil || len(list) != 4 {
		t.Errorf("%v %v", list, err)
	}
}

func TestListAndInspect(t *testing.T) {
	l := newLab(t)
	id := l.create(t, "app", func(r *networktypes.CreateRequest) { r.Labels = map[string]string{"tier": "1"} })
	l.create(t, "web")
	l.join(t, "one", in("web", nil))
	for filters, want := range map[string]string{
		``: "app bridge host none web", `{"driver":{"bridge":true}}`: "app bridge web", `{"type":{"custom":true}}`: "app web",
		`{"type":{"builtin":true}}`: "bridge host none", `{"label":{"tier=1":true}}`: "app", `{"name":{"^we":true}}`: "web",
		`{"id":{"` + id[:8] + `":true}}`: "app", `{"scope":{"swarm":true}}`: "", `{"dangling":{"true":true}}`: "app", `{"driver":{"null":true}}`: "none",
	} {
		f, err := filter.Parse(filters)
		must(t, err)
		list, err := l.List(f)
		must(t, err)
		var names []string
		for _, n := range list {
			names = append(names, n.Name)
		}
		if got := strings.Join(names, " "); got != want || list == nil {
			t.Errorf("%s: %q, want %q", filters, got, want)
		}
	}
	for _, ref := range []string{"web", "app"} {
		n, err := l.Inspect(ref)
		must(t, err)
		again, err := l.Inspect(n.ID[:10])
		must(t, err)
		if again.ID != n.ID || n.Scope != "local" || n.Driver != "bridge" || !n.EnableIPv4 || len(n.IPAM.Config) != 1 {
			t.Errorf("%+v", n)
		}
	}
	n, err := l.Inspect("web")
	must(t, err)
	if c := n.Containers[identity("one")]; len(n.Containers) != 1 || c.IPv4Address.String() != "172.19.0.2/16" || c.Name != "one" {
		t.Errorf("%+v", n.Containers)
	}
	for _, f := range []filter.Args{{"size": {"1": true}}, {"type": {"x": true}}, {"dangling": {"x": true}}} {
		if _, err := l.List(f); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%v: %v", f, err)
		}
	}
	if _, err := l.Inspect("nope"); !errdefs.IsNotFound(err) || err.Error() != "network nope not found" {
		t.Error(err)
	}
}

func TestRemoveAndPrune(t *testing.T) {
	l := newLab(t)
	l.create(t, "xa")
	l.create(t, "xb", func(r *networktypes.CreateRequest) { r.Labels = map[string]string{"keep": ""} })
	l.create(t, "xc")
	j := l.join(t, "one", in("xc", nil))
	want := "bridge is a pre-defined network and cannot be removed"
	if err := l.Remove(t.Context(), "bridge"); !errdefs.IsPermissionDenied(err) || err.Error() != want {
		t.Error(err)
	}
	want = `error while removing network: network xc has active endpoints (name:"one" id:"` + j.Endpoints["xc"].EndpointID[:12] + `")`
	if err := l.Remove(t.Context(), "xc"); !errdefs.IsPermissionDenied(err) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	report, err := l.Prune(t.Context(), filter.Args{"until": {"1h": true}})
	must(t, err)
	if len(report.NetworksDeleted) != 0 {
		t.Error(report)
	}
	report, err = l.Prune(t.Context(), filter.Args{"label!": {"keep": true}})
	must(t, err)
	if strings.Join(report.NetworksDeleted, " ") != "xa" {
		t.Error(report)
	}
	l.leave(t, "one")
	must(t, l.Remove(t.Context(), "xc")) // at once: it waits for the interface
	must(t, l.Remove(t.Context(), "xb"))
	if err := l.Remove(t.Context(), "xb"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if got := actions(l.events); got != "create create create connect destroy prune disconnect destroy destroy" &&
		got != "create create create connect prune destroy prune disconnect destroy destroy" {
		t.Error(got)
	}
	links, err := netlink.LinkList()
	must(t, err)
	for _, link := range links {
		if link.Type() == "bridge" {
			t.Errorf("%s is left", link.Attrs().Name)
		}
	}
}

func TestNetworksAreKept(t *testing.T) {
	l := newLab(t)
	id := l.create(t, "app", subnet("10.5.0.0/24", "10.5.0.254", "10.5.0.128/25"))
	bridge, err := l.Inspect("bridge")
	must(t, err)
	must(t, l.Close(t.Context()))
	l.open(t)
	n, err := l.Inspect("app")
	must(t, err)
	again, err := l.Inspect("bridge")
	must(t, err)
	if n.ID != id || again.ID != bridge.ID || n.IPAM.Config[0].Gateway.String() != "10.5.0.254" {
		t.Errorf("%+v", n)
	}
	e := l.join(t, "one", in("app", nil)).Endpoints["app"]
	if e.IPAddress.String() != "10.5.0.128" || e.Gateway.String() != "10.5.0.254" || e.IPPrefixLen != 24 {
		t.Errorf("%+v", e)
	}
}

// in makes a container join a network, and further ones.
func in(mode string, endpoints map[string]*networktypes.EndpointSettings) func(*network.Join) {
	return func(j *network.Join) { j.Mode, j.Endpoints = mode, endpoints }
}

func actions(b *events.Bus) string {
	past, l := b.Listen(time.Unix(1, 0))
	l.Close()
	var names []string
	for _, m := range past {
		names = append(names, string(m.Action))
	}
	return strings.Join(names, " ")
}
