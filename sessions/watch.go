package sessions

import (
	"context"

	"berth/quotas"
)

// Events returns what happens to a session, beginning with what it is now. The channel is closed after the event that
// tells the end, when ctx ends, or when the server stops. A slow reader loses usage and the oldest events, never the
// newest state. While the channel is open the session is in use.
func (m *Manager) Events(ctx context.Context, c Credential, id ID) (<-chan Event, error) {
	h, r, err := m.find(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return only(r.Session), nil
	}
	l := newListener()
	if !m.begin() {
		return nil, unavailable("The server is stopping. Try again in a few seconds.")
	}
	h.mu.Lock()
	s := h.sessionLocked()
	l.put(Event{Type: EventSession, Session: &s})
	if s.State == Ended {
		l.finish()
	}
	h.listeners[l] = struct{}{}
	h.clock.begin()
	h.mu.Unlock()
	nudge(h.watched)
	nudge(h.wake)
	go func() {
		defer m.wg.Done()
		defer h.leave(l)
		l.serve(ctx, m.base.Done())
	}()
	return l.out, nil
}

// only is a channel with the one event of a session that has ended.
func only(s Session) <-chan Event {
	out := make(chan Event, 1)
	out <- Event{Type: EventSession, Session: &s}
	close(out)
	return out
}

func (h *hold) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	h.clock.end()
	nudge(h.wake)
}

// tellSession tells what the session is now; it is called under mu.
func (h *hold) tellSession() {
	s := h.sessionLocked()
	h.tell(Event{Type: EventSession, Session: &s})
	if s.State == Ended {
		for l := range h.listeners {
			l.finish()
		}
	}
}

func (h *hold) tell(e Event) {
	for l := range h.listeners {
		l.put(e)
	}
}

func (h *hold) notify(n Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell(Event{Type: EventNotice, Notice: &n})
}

// tellUsage tells a reading and reports whether somebody watches.
func (h *hold) tellUsage(u quotas.Usage) (watched bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell(Event{Type: EventUsage, Usage: &u})
	return len(h.listeners) > 0
}

func (h *hold) isWatched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.listeners) > 0
}
