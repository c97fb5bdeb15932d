package sessions

import (
	"context"
	"fmt"
)

// launchesFailing is how many launches fail in a row before the server says that it is not healthy.
const launchesFailing = 3

// Status is how the server is doing, for health checks and metrics.
type Status struct {
	Sessions int            // that have a sandbox, or are getting or losing one
	Capacity int            // how many there can be at once
	Queued   int            // that wait
	PerState map[State]int  // every state has its count
	Pool     map[string]int // finished sandboxes, by environment
	Err      error          // why sessions cannot be created now: an *Error for visitors, wrapped in words for operators
}

// Status returns the state of things. It writes to the store to see whether that works.
func (m *Manager) Status(ctx context.Context) Status {
	storeErr := m.cfg.Store.Check(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		Queued:   m.queue.len(),
		PerState: map[State]int{Queued: 0, Starting: 0, Ready: 0, Ending: 0},
		Pool:     make(map[string]int),
	}
	for _, h := range m.live {
		if session, told := h.session(); told {
			s.PerState[session.State]++
		}
	}
	s.Sessions = s.PerState[Starting] + s.PerState[Ready] + s.PerState[Ending]
	for name, p := range m.pools {
		s.Pool[name] = p.ready()
	}
	s.Err = m.checkOpen()
	switch {
	case m.phase == phaseOpen && m.roomErr != nil:
		s.Err = fmt.Errorf("%w (%w)", s.Err, m.roomErr)
	case m.phase == phaseOpen && m.capacity() == 0:
		s.Err = fmt.Errorf("%w (%w)", s.Err, errNoRoom)
	case s.Err == nil && storeErr != nil:
		s.Err = fmt.Errorf("%w (%w)", errNotRecorded(), storeErr)
	case s.Err == nil && m.failures >= launchesFailing:
		s.Err = fmt.Errorf("%w (the last %d launches failed: %w)",
			unavailable("The last sessions could not be started. Try again in a minute; if that fails too, tell the operator."), m.failures, m.launchErr)
	}
	s.Capacity = m.capacity()
	return s
}
