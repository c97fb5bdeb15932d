package network

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/network"
)

// Join is what a container wants of the networks when it starts.
type Join struct {
	ContainerID string // 64 hexadecimal digits
	Name        string // without a slash
	Hostname    string
	Domainname  string

	// Mode is the API's NetworkMode: "" or "default" (bridge), "bridge", "none", "host", "container:ID", or a network's name
	// or ID. Endpoints has settings by network, and further networks to join.
	Mode      string
	Endpoints map[string]*network.EndpointSettings

	Ports      network.PortMap
	Exposed    network.PortSet
	PublishAll bool

	DNS        []netip.Addr
	DNSSearch  []string
	DNSOptions []string
	ExtraHosts []string // NAME:ADDRESS, where the address may be host-gateway
	Links      []string // CONTAINER:ALIAS, by name or ID: of the default bridge

	Quiet bool // no events: it is no container of the visitor's, but a step of a build
}

// Joined is what a container got.
type Joined struct {
	SandboxID string
	NetNS     string                               // path of the namespace; empty: the sandbox's own
	Endpoints map[string]*network.EndpointSettings // by name of the network
	Ports     network.PortMap                      // as bound; exposed ports that are not published have no bindings

	// Contents of the files of these names in /etc. They are empty where the container shares another's.
	ResolvConf string
	Hosts      string
}

// member is a container that has joined.
type member struct {
	join Join
	id   string // of its place: the API's SandboxID
	path string // of its namespace; empty: the sandbox's own

	busy     sync.Mutex // held by whoever changes it: Join, Leave, Connect, Disconnect; taken before Manager.mu
	gone     bool       // guarded by busy
	bindings []*binding // guarded by busy
	resolver *resolver  // guarded by busy

	published []publishedPort // guarded by Manager.mu
	endpoints []*endpoint     // in the order of joining; guarded by Manager.mu, changed under busy as well
}

// spaceOf is where a container's namespace is mounted.
func (m *Manager) spaceOf(containerID string) string {
	return filepath.Join(m.o.RunDir, containerID)
}

// gateway is the endpoint through which a container reaches what is not in its networks, and on which its ports are
// published: the one of the highest priority, of those the first by name. Nil: it has none. Manager.mu is held.
func (mb *member) gateway() *endpoint {
	var out []*endpoint
	for _, e := range mb.endpoints {
		if e.segment.Driver == driverBridge && !e.segment.Internal {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return slices.MinFunc(out, func(a, b *endpoint) int {
		return cmp.Or(cmp.Compare(b.asked.GwPriority, a.asked.GwPriority), strings.Compare(a.segment.Name, b.segment.Name))
	})
}

// named reports whether the container is in a network with names. Manager.mu is held.
func (mb *member) named() bool {
	return slices.ContainsFunc(mb.endpoints, func(e *endpoint) bool { return e.segment.named() })
}

// endpointOf is a container's place in a network, or nil. Manager.mu is held.
func (mb *member) endpointOf(s *segment) *endpoint { return s.endpoints[mb.join.ContainerID] }

// joined describes what the container has. busy is held.
func (m *Manager) joined(mb *member) Joined {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Joined{SandboxID: mb.id, NetNS: mb.path, Endpoints: map[string]*network.EndpointSettings{}, Ports: network.PortMap{}}
	gateway := mb.gateway()
	for _, e := range mb.endpoints {
		out.Endpoints[e.segment.Name] = e.settings(e == gateway)
	}
	for p := range mb.join.Exposed {
		out.Ports[p] = nil
	}
	if mb.path != "" {
		for p := range mb.join.Ports {
			out.Ports[p] = nil
		}
	}
	for _, b := range mb.bindings {
		for _, a := range b.hosts {
			out.Ports[b.container] = append(out.Ports[b.container], network.PortBinding{HostIP: a, HostPort: decimal(b.port)})
		}
	}
	out.ResolvConf, out.Hosts = m.resolvConf(mb), m.hosts(mb)
	return out
}
