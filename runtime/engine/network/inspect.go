package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"berth/runtime/engine/filter"
)

// Inspect describes a network, found by ID, name or beginning of an ID, and the containers in it that run.
func (m *Manager) Inspect(ref string) (network.Inspect, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.find(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	out := network.Inspect{Network: s.info(), Containers: map[string]network.EndpointResource{}}
	for id, e := range s.endpoints {
		r := network.EndpointResource{Name: e.member.join.Name, EndpointID: e.id, MacAddress: network.HardwareAddr(e.mac)}
		if e.address.IsValid() {
			r.IPv4Address = netip.PrefixFrom(e.address, s.Subnet.Bits())
		}
		out.Containers[id] = r
	}
	return out, nil
}

// List describes the networks that pass the filters, by name.
func (m *Manager) List(f filter.Args) ([]network.Summary, error) {
	if err := f.Only("dangling", "driver", "id", "label", "label!", "name", "scope", "type"); err != nil {
		return nil, err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return nil, err
	}
	for _, t := range f.Values("type") {
		if t != "builtin" && t != "custom" {
			return nil, errdefs.ErrInvalidArgument.WithMessage("invalid filter: 'type'='" + t + "'")
		}
	}
	m.mu.Lock()
	list := []network.Summary{}
	for _, s := range m.segments {
		kind := "custom"
		if s.predefined() {
			kind = "builtin"
		}
		if f.Has("dangling") && dangling != (!s.predefined() && len(s.endpoints) == 0) {
			continue
		}
		if f.Exact("driver", s.Driver) && f.Match("id", s.ID) && f.Match("name", s.Name) && f.Labels(s.Labels) &&
			f.Exact("scope", "local") && f.Exact("type", kind) {
			list = append(list, network.Summary{Network: s.info()})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b network.Summary) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
