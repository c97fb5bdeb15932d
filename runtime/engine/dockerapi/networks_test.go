package dockerapi_test

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"testing"

	"github.com/containerd/errdefs"
	networktypes "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/events"
	"berth/runtime/engine/network"
)

// TestNetworkFields says what becomes of every field of the requests about networks. What is refused is refused in
// TestNetworks, or by the room itself (runtime/engine/network).
func TestNetworkFields(t *testing.T) {
	checkFields[networktypes.CreateRequest](t, map[string]string{
		"Name": fieldSupported, "Driver": fieldSupported, "Internal": fieldSupported, "IPAM": fieldSupported, "Labels": fieldSupported,
		"Options": fieldSupported, "Scope": fieldSupported, "EnableIPv4": fieldSupported,
		"Attachable": fieldAccepted + "it is about swarm services; every network here is open to containers",
		"EnableIPv6": fieldRefused, "Ingress": fieldRefused, "ConfigOnly": fieldRefused, "ConfigFrom": fieldRefused,
	})
	checkFields[networktypes.IPAM](t, map[string]string{"Driver": fieldSupported, "Config": fieldSupported, "Options": fieldRefused})
	checkFields[networktypes.IPAMConfig](t, map[string]string{
		"Subnet": fieldSupported, "IPRange": fieldSupported, "Gateway": fieldSupported, "AuxAddress": fieldSupported,
	})
	checkFields[networktypes.ConnectRequest](t, map[string]string{"Container": fieldSupported, "EndpointConfig": fieldSupported})
	checkFields[networktypes.DisconnectRequest](t, map[string]string{"Container": fieldSupported, "Force": fieldSupported})
	const said = fieldAccepted + "it is what an answer says; clients send back what they have read"
	checkFields[networktypes.EndpointSettings](t, map[string]string{
		"IPAMConfig": fieldSupported, "Links": fieldSupported, "Aliases": fieldSupported, "MacAddress": fieldSupported,
		"GwPriority": fieldSupported, "NetworkID": fieldSupported, "DriverOpts": fieldSupported, // the name of the interface; others are refused
		"EndpointID": said, "Gateway": said, "IPAddress": said, "IPPrefixLen": said, "IPv6Gateway": said,
		"GlobalIPv6Address": said, "GlobalIPv6PrefixLen": said, "DNSNames": said,
	})
	checkFields[networktypes.EndpointIPAMConfig](t, map[string]string{
		"IPv4Address": fieldSupported, "IPv6Address": fieldRefused, "LinkLocalIPs": fieldRefused,
	})
}

// connections notes what is asked of containers.
type connections struct{ calls []string }

func (c *connections) ConnectNetwork(_ context.Context, container, network string, s *networktypes.EndpointSettings) error {
	if container == "gone" {
		return errdefs.ErrNotFound.WithMessage("No such container: gone")
	}
	c.calls = append(c.calls, "connect "+container+" "+network+" "+s.IPAMConfig.IPv4Address.String())
	return nil
}

func (c *connections) DisconnectNetwork(_ context.Context, container, network string, force bool) error {
	c.calls = append(c.calls, "disconnect "+container+" "+network)
	if !force {
		return errdefs.ErrNotFound.WithMessage("not connected")
	}
	return nil
}

func networksClient(t *testing.T) (*client.Client, string, *connections) {
	t.Helper()
	m, err := network.New(t.Context(), network.Options{Dir: t.TempDir(), RunDir: t.TempDir(), Events: &events.Bus{}})
	if err != nil {
		t.Fatal(err)
	}
	containers := &connections{}
	c, url := partClient(t, dockerapi.Networks{Manager: m, Containers: containers})
	return c, url, containers
}

// TestNetworks asks for what changes nothing on this machine: bridges are made in the tests of the room itself.
func TestNetworks(t *testing.T) {
	c, url, containers := networksClient(t)
	ctx := t.Context()
	list, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("driver", "bridge")})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "bridge" {
		t.Error(list, err)
	}
	found, err := c.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if err != nil || found.Network.IPAM.Config[0].Subnet != netip.MustParsePrefix("172.17.0.0/16") || found.Network.Containers == nil {
		t.Error(found, err)
	}
	if _, err := c.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{Scope: "swarm"}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := c.NetworkInspect(ctx, "a b/c", client.NetworkInspectOptions{}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := c.NetworkRemove(ctx, "host", client.NetworkRemoveOptions{}); !errdefs.IsPermissionDenied(err) {
		t.Error(err)
	}
	_, err = c.NetworkConnect(ctx, "bridge", client.NetworkConnectOptions{Container: "web", EndpointConfig: &networktypes.EndpointSettings{
		IPAMConfig: &networktypes.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("10.0.0.9")},
	}})
	if err != nil {
		t.Error(err)
	}
	if _, err := c.NetworkConnect(ctx, "bridge", client.NetworkConnectOptions{Container: "gone"}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := c.NetworkDisconnect(ctx, "bridge", client.NetworkDisconnectOptions{Container: "web", Force: true}); err != nil {
		t.Error(err)
	}
	if got := containers.calls; len(got) != 2 || got[0] != "connect web bridge 10.0.0.9" || got[1] != "disconnect web bridge" {
		t.Error(got)
	}
	if pruned, err := c.NetworkPrune(ctx, client.NetworkPruneOptions{}); err != nil || len(pruned.Report.NetworksDeleted) > 0 {
		t.Error(pruned, err)
	}
	for body, want := range map[string]int{
		`{"Name":"bridge"}`: 403, `{"Name":""}`: 400, `{"Name":"x","Driver":"macvlan"}`: 404, `{"Name":"x","Ingress":true}`: 400,
		`{"Name":"x","EnableIPv6":true}`: 400, `{"Name":"x","Foo":1}`: 400, `{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.1/8"}]}}`: 400,
		`{"Name":"x","IPAM":{"Config":[{"Subnet":"nonsense"}]}}`: 400, `{"Name":"x","ConfigOnly":true}`: 400,
		`{"Name":"bridge","CheckDuplicate":true}`: 403, `{"Name":"x","IPAM":{"Options":{"a":"b"}}}`: 400,
	} {
		if got := post(t, url+"/v1.41/networks/create", body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	r, err := http.Get(url + "/networks?filters=nonsense")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusBadRequest {
		t.Error(r.Status)
	}
}

func TestNetworksNothingIsMadeEarly(t *testing.T) {
	if _, err := os.Stat("/sys/class/net/docker0"); err == nil {
		t.Skip("this machine has a docker0")
	}
	networksClient(t)
	if _, err := os.Stat("/sys/class/net/docker0"); err == nil {
		t.Error("a bridge is made before it is needed")
	}
}
