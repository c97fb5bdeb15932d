package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/network"
)

// Listener is a TCP port that answers in the sandbox's own namespace: a program's, or a container's that is published.
type Listener struct {
	Port      uint16
	Addresses []netip.Addr // where it answers, sorted; the unspecified address stands for all
	Process   string       // name of the program; empty: not known, or a container's

	// Of a published port:
	Container     string // ID
	ContainerName string
	ContainerPort uint16
}

// Listening lists the TCP ports that answer, by number. It is cheap enough to be asked every second, 0.2 ms: it asks for the
// sockets that listen and no others, and looks for a program only when there is a new one.
func (m *Manager) Listening(ctx context.Context) ([]Listener, error) {
	sockets, err := listeners()
	if err != nil {
		return nil, err
	}
	byPort := map[uint16]*Listener{}
	for _, s := range sockets {
		l := byPort[s.at.Port()]
		if l == nil {
			l = &Listener{Port: s.at.Port()}
			byPort[l.Port] = l
		}
		if !slices.Contains(l.Addresses, s.at.Addr()) {
			l.Addresses = append(l.Addresses, s.at.Addr())
		}
	}
	m.markPublished(byPort)
	if err := m.programs.name(ctx, sockets, byPort); err != nil {
		return nil, err
	}
	list := make([]Listener, 0, len(byPort))
	for _, l := range byPort {
		slices.SortFunc(l.Addresses, netip.Addr.Compare)
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Listener) int { return int(a.Port) - int(b.Port) })
	return list, nil
}

// markPublished says which ports are those of containers.
func (m *Manager) markPublished(byPort map[uint16]*Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, mb := range m.members {
		for _, p := range mb.published {
			if l := byPort[p.host]; l != nil {
				l.Container, l.ContainerName, l.ContainerPort = id, mb.join.Name, p.container
			}
		}
	}
}

// publishedPort is a TCP port of a container, as Listening needs it.
type publishedPort struct{ host, container uint16 }

// notePublished keeps what Listening shows of a container. Its busy is held.
func (m *Manager) notePublished(mb *member) {
	var list []publishedPort
	for _, b := range mb.bindings {
		if b.container.Proto() == network.TCP {
			list = append(list, publishedPort{host: b.port, container: b.container.Num()})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mb.published = list
}
