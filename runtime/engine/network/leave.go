package network

import (
	"context"
	"errors"

	eventtypes "github.com/moby/moby/api/types/events"
)

// Leave takes back all that Join gave: ports, names, interfaces, addresses, the namespace. It is idempotent. Interfaces are
// deleted in the background; Remove and Close wait for it.
func (m *Manager) Leave(_ context.Context, containerID string) error {
	m.mu.Lock()
	mb := m.members[containerID]
	m.mu.Unlock()
	if mb == nil {
		return nil
	}
	mb.busy.Lock()
	defer mb.busy.Unlock()
	if mb.gone {
		return nil
	}
	endpoints := mb.endpoints
	err := m.tearDown(mb)
	if mb.join.Quiet {
		return err
	}
	for _, e := range endpoints {
		m.tell(eventtypes.ActionDisconnect, e.segment, map[string]string{"container": containerID})
	}
	return err
}

// tearDown frees all that a container has, as far as it came. busy is held.
func (m *Manager) tearDown(mb *member) error {
	mb.gone = true
	err := m.withdraw(mb)
	mb.resolver.close()
	mb.resolver = nil
	m.mu.Lock()
	endpoints := mb.endpoints
	mb.endpoints = nil
	delete(m.members, mb.join.ContainerID)
	m.mu.Unlock()
	for _, e := range endpoints {
		m.detach(e)
	}
	if mb.path != "" {
		err = errors.Join(err, removeSpace(mb.path))
	}
	return err
}

// detach takes an endpoint out of its network at once, and deletes its interfaces in the background: that waits for RCU.
func (m *Manager) detach(e *endpoint) {
	err := e.unhook()
	if err != nil {
		m.log.Warn("container's interface stays on its bridge for now", "container", e.member.join.ContainerID, "error", err)
	}
	m.mu.Lock()
	if err == nil { // nobody answers for the address any more: the same container, started again, gets it back
		delete(e.segment.used, e.address)
	}
	delete(e.segment.endpoints, e.member.join.ContainerID)
	e.segment.leaving++
	if e.segment.left == nil {
		e.segment.left = make(chan struct{})
	}
	m.mu.Unlock()
	m.workers.Go(func() {
		if left := e.unplug(); left != nil {
			m.log.Error("container's interface stays", "container", e.member.join.ContainerID, "error", left)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if err != nil {
			delete(e.segment.used, e.address)
		}
		if e.segment.leaving--; e.segment.leaving == 0 {
			close(e.segment.left)
			e.segment.left = nil
		}
	})
}

// forget takes an endpoint that has no interface yet out of its network. m.mu is held.
func (m *Manager) forget(e *endpoint) {
	delete(e.segment.endpoints, e.member.join.ContainerID)
	delete(e.segment.used, e.address)
}

// quiet waits until no interface of a network, which nobody can join any more, is being deleted: milliseconds.
func (m *Manager) quiet(s *segment) {
	m.mu.Lock()
	left := s.left
	m.mu.Unlock()
	if left != nil {
		<-left
	}
}
