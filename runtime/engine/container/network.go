package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"berth/runtime/engine/network"
)

// etcNames are the files that tell a container who it is and how to resolve names.
var etcNames = []string{"resolv.conf", "hosts", "hostname"}

// connect gives a container its place in the networks, and returns the files of /etc that belong to it.
func (m *Manager) connect(ctx context.Context, c *Container) (joined network.Joined, etc map[string]string, err error) {
	h, conf := c.host, c.rec.Config
	c.mu.Lock()
	j := network.Join{
		ContainerID: c.id, Name: c.rec.Name, Hostname: conf.Hostname, Domainname: conf.Domainname, Mode: string(h.NetworkMode),
		Endpoints: c.endpoints(), Ports: h.PortBindings, Exposed: conf.ExposedPorts, PublishAll: h.PublishAllPorts,
		DNS: h.DNS, DNSSearch: h.DNSSearch, DNSOptions: h.DNSOptions, ExtraHosts: h.ExtraHosts, Links: h.Links,
	}
	c.mu.Unlock()
	if joined, err = m.o.Networks.Join(ctx, j); err != nil {
		return joined, nil, err
	}
	c.mu.Lock()
	if !h.NetworkMode.IsContainer() {
		c.rec.Asked, c.rec.Endpoints, c.rec.Ports = c.rec.Endpoints, joined.Endpoints, joined.Ports
	}
	c.mu.Unlock()
	if h.NetworkMode.IsContainer() {
		other, err := m.Get(h.NetworkMode.ConnectedContainer())
		if err != nil {
			return joined, nil, err
		}
		return joined, other.etc(), nil
	}
	etc, err = c.writeEtc(map[string]string{
		"resolv.conf": joined.ResolvConf, "hosts": joined.Hosts, "hostname": conf.Hostname + "\n",
	})
	if err != nil {
		ctx, cancel := detached(ctx)
		defer cancel()
		return joined, nil, errors.Join(err, m.disconnect(ctx, c))
	}
	return joined, etc, nil
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

// disconnect ends what connect began. It may be called again.
func (m *Manager) disconnect(ctx context.Context, c *Container) error {
	err := m.o.Networks.Leave(ctx, c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Ports = nil
	if c.rec.Asked != nil {
		c.rec.Endpoints, c.rec.Asked = c.rec.Asked, nil
	}
	return err
}
