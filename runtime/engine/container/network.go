package container

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	apinet "github.com/moby/moby/api/types/network"
)

// etcNames are the files that tell a container who it is and how to resolve names.
var etcNames = []string{"resolv.conf", "hosts", "hostname"}

// connect gives a container its network, and returns the namespace (oci.Shared for the sandbox's own) and its files for /etc.
func (m *Manager) connect(ctx context.Context, c *Container) (netns string, etc map[string]string, err error) {
	mode := c.host.NetworkMode
	switch {
	case mode.IsContainer():
		return m.shareNetwork(mode.ConnectedContainer())
	case mode.IsHost():
		etc, err := m.hostEtc(c)
		return "", etc, err
	}
	j, err := m.join(c)
	if err != nil {
		return "", nil, err
	}
	joined, err := m.o.Networks.Join(ctx, j)
	if err != nil {
		return "", nil, err
	}
	c.mu.Lock()
	if joined.Endpoints != nil {
		c.rec.Endpoints = joined.Endpoints
	}
	c.rec.Ports = joined.Ports
	c.mu.Unlock()
	etc, err = c.writeEtc(map[string]string{
		"resolv.conf": joined.ResolvConf, "hosts": joined.Hosts, "hostname": c.rec.Config.Hostname + "\n",
	})
	if err != nil {
		ctx, cancel := detached(ctx)
		defer cancel()
		return "", nil, errors.Join(err, m.o.Networks.Leave(ctx, c.id))
	}
	return joined.NetNS, etc, nil
}

// join is what the container wants of the networks.
func (m *Manager) join(c *Container) (Join, error) {
	h, conf := c.host, c.rec.Config
	hosts, err := m.links(h.Links)
	if err != nil {
		return Join{}, err
	}
	return Join{
		ContainerID: c.id, Name: c.Name(), Hostname: conf.Hostname, Domainname: conf.Domainname,
		Mode: string(h.NetworkMode), Endpoints: c.rec.Endpoints, Ports: c.ports(),
		DNS: texts(h.DNS), DNSOptions: h.DNSOptions, DNSSearch: h.DNSSearch, ExtraHosts: append(hosts, h.ExtraHosts...),
	}, nil
}

// ports are what is to be published: with -P all that the image exposes, too.
func (c *Container) ports() apinet.PortMap {
	ports := apinet.PortMap{}
	for port, bindings := range c.host.PortBindings {
		ports[port] = bindings
	}
	for port := range c.rec.Config.ExposedPorts {
		if _, there := ports[port]; there {
			continue
		}
		ports[port] = nil
		if c.host.PublishAllPorts {
			ports[port] = []apinet.PortBinding{{}}
		}
	}
	return ports
}

// links are the old way to name another container: as lines of /etc/hosts.
func (m *Manager) links(links []string) (hosts []string, err error) {
	for _, l := range links {
		ref, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = strings.TrimPrefix(ref, "/")
		}
		if i := strings.LastIndex(alias, "/"); i >= 0 {
			alias = alias[i+1:]
		}
		other, err := m.Get(ref)
		if err != nil {
			return nil, invalid("could not get container for %s", ref)
		}
		other.mu.Lock()
		running, name := other.rec.State.Running, other.rec.Name
		var ip netip.Addr
		for _, e := range other.rec.Endpoints {
			if e.IPAddress.IsValid() {
				ip = e.IPAddress
			}
		}
		other.mu.Unlock()
		if !running || !ip.IsValid() {
			return nil, invalid("Cannot link to a non running container: /%s AS /%s", name, alias)
		}
		hosts = append(hosts, alias+":"+ip.String())
		if name != alias {
			hosts = append(hosts, name+":"+ip.String())
		}
	}
	return hosts, nil
}

func texts(addresses []netip.Addr) []string {
	var out []string
	for _, a := range addresses {
		out = append(out, a.String())
	}
	return out
}

// shareNetwork is another container's network, with its files.
func (m *Manager) shareNetwork(ref string) (string, map[string]string, error) {
	other, err := m.Get(ref)
	if err != nil {
		return "", nil, err
	}
	other.mu.Lock()
	r := other.run
	other.mu.Unlock()
	if r == nil {
		return "", nil, conflict("cannot join network namespace of a non running container: %s", other.id)
	}
	return r.netns, other.etc(), nil
}

func (c *Container) etc() map[string]string {
	etc := map[string]string{}
	for _, name := range etcNames {
		etc[name] = filepath.Join(c.Dir(), name)
	}
	return etc
}

func (c *Container) writeEtc(content map[string]string) (map[string]string, error) {
	etc := c.etc()
	for name, text := range content {
		if err := os.WriteFile(etc[name], []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return etc, nil
}

// hostEtc copies the workspace's files, for a container in its network.
func (m *Manager) hostEtc(c *Container) (map[string]string, error) {
	content := map[string]string{"hostname": c.rec.Config.Hostname + "\n"}
	for _, name := range []string{"resolv.conf", "hosts"} {
		from, err := m.hostPath("/etc/" + name)
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(from)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		content[name] = string(b)
	}
	var extra strings.Builder
	for _, line := range c.host.ExtraHosts {
		name, ip, _ := strings.Cut(line, ":")
		if ip == hostGateway {
			ip = "127.0.0.1"
		}
		extra.WriteString(strings.Trim(ip, "[]") + "\t" + name + "\n")
	}
	content["hosts"] += extra.String()
	return c.writeEtc(content)
}

// disconnect ends what connect began. It may be called again.
func (m *Manager) disconnect(ctx context.Context, c *Container) error {
	if c.host.NetworkMode.IsContainer() || c.host.NetworkMode.IsHost() {
		return nil
	}
	err := m.o.Networks.Leave(ctx, c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Ports = nil
	for name, e := range c.rec.Endpoints {
		c.rec.Endpoints[name] = wanted(e)
	}
	return err
}

// wanted is an endpoint's configuration without what it was while the container ran.
func wanted(e *apinet.EndpointSettings) *apinet.EndpointSettings {
	if e == nil {
		return &apinet.EndpointSettings{}
	}
	return &apinet.EndpointSettings{
		IPAMConfig: e.IPAMConfig, Links: e.Links, Aliases: e.Aliases, DriverOpts: e.DriverOpts, GwPriority: e.GwPriority,
		NetworkID: e.NetworkID, DNSNames: e.DNSNames,
	}
}

// SetEndpoint notes that the container was connected to a network, nil that it was disconnected. It is for the network room.
func (m *Manager) SetEndpoint(ref, network string, e *apinet.EndpointSettings) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.Endpoints == nil {
		c.rec.Endpoints = map[string]*apinet.EndpointSettings{}
	}
	if e == nil {
		delete(c.rec.Endpoints, network)
	} else {
		c.rec.Endpoints[network] = e
	}
	return c.save()
}
