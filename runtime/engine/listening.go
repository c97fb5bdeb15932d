package engine

import (
	"context"

	"berth/runtime/engine/api"
	"berth/runtime/engine/network"
)

// listeners tells which ports answer, the workspace's and containers'. A Docker host is not made for that: every page that is
// seen asks every two seconds.
type listeners struct {
	host *host
	bare network.Manager // of no networks, while there is no Docker host
}

// Listening is of api.Listeners.
func (l *listeners) Listening(ctx context.Context) ([]api.Listener, error) {
	m := &l.bare
	if r := l.host.opened(); r != nil {
		m = r.networks
	}
	found, err := m.Listening(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]api.Listener, len(found))
	for i, f := range found {
		list[i] = api.Listener{Port: f.Port, Process: f.Process, Addresses: f.Addresses}
		if f.ContainerName != "" {
			list[i].Process = f.ContainerName
		}
	}
	return list, nil
}

// opened returns the rooms; nil: nobody has asked for any yet.
func (h *host) opened() *rooms {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms
}
