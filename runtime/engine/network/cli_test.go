package network_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	networktypes "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/dockerapi"
)

// live are containers that all run, and whose names are their IDs'.
type live struct{ *lab }

func (c live) ConnectNetwork(ctx context.Context, container, network string, s *networktypes.EndpointSettings) error {
	_, err := c.Connect(ctx, network, identity(container), s)
	return err
}

func (c live) DisconnectNetwork(ctx context.Context, container, network string, _ bool) error {
	_, err := c.Disconnect(ctx, network, identity(container))
	return err
}

// TestDockerCLI is what a visitor types.
func TestDockerCLI(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("no docker command on this machine")
	}
	l := newLab(t)
	server := httptest.NewServer(dockerapi.New(slog.New(slog.DiscardHandler), dockerapi.Networks{Manager: l.Manager, Containers: live{l}}))
	t.Cleanup(server.Close)
	docker := func(args string) string {
		cmd := exec.Command("docker", strings.Fields(args)...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+server.Listener.Addr().String(), "DOCKER_API_VERSION="+dockerapi.Version)
		out, _ := cmd.CombinedOutput() // what it says is what counts
		return strings.TrimSpace(string(out))
	}
	l.join(t, "web")
	for _, c := range []struct{ command, want string }{
		{"network ls --format {{.Name}}:{{.Driver}}:{{.Scope}}", "bridge:bridge:local\nhost:host:local\nnone:null:local"},
		{"network create --subnet 10.9.0.0/24 --gateway 10.9.0.9 --label tier=1 -o com.docker.network.bridge.name=cli0 --attachable cli-net", "*"},
		{"network create cli-net", "Error response from daemon: network with name cli-net already exists"},
		{"network create --ipv6 six", "Error response from daemon: EnableIPv6 is not supported in this playground: its networks have IPv4 only"},
		{"network create -d macvlan mac", `Error response from daemon: plugin "macvlan" not found`},
		{"network ls -q --no-trunc --filter label=tier", "*"},
		{"network connect --ip 10.9.0.50 --alias front cli-net web", ""},
		{
			"network inspect cli-net -f {{range.IPAM.Config}}{{.Subnet}}{{end}}|{{.Attachable}}|{{.Labels}}|{{range.Containers}}{{.Name}}={{.IPv4Address}}{{end}}",
			"10.9.0.0/24|true|map[tier:1]|web=10.9.0.50/24",
		},
		{"network rm cli-net", "*has active endpoints"},
		{"network disconnect cli-net web", ""},
		{"network rm cli-net", "cli-net"},
		{"network rm bridge", "*bridge is a pre-defined network and cannot be removed"},
		{"network inspect cli-net", "*network cli-net not found"},
		{"network prune -f", ""},
	} {
		got := docker(c.command)
		if want, part := strings.CutPrefix(c.want, "*"); part && !strings.Contains(got, want) || !part && got != c.want {
			t.Errorf("docker %s\n%s\nwant: %s", c.command, got, c.want)
		}
	}
}
