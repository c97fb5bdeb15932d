package sessions

import (
	"context"
	"time"
)

// finish is the one way a session ends: its end is kept and told, its sandbox closed, its room and its visitor's
// place given back, and the end that was reached kept and told. What fails is tried again until it succeeds; where
// the server stops before that, the next one goes on from what is kept.
func (h *hold) finish(end *End, sandbox Sandbox) {
	m := h.m
	about := []any{"session", h.id, "reason", end.Reason}
	if end.Err != nil {
		about = append(about, "error", end.Err)
	}
	m.log.Info("session ends", about...)
	m.leaveQueue(h)
	if err := h.change(func(r *Record, _ time.Time) error {
		if r.Session.State == Ending { // an earlier server began it
			return nil
		}
		r.Session.State, r.Session.Reason, r.Session.Message = Ending, end.Reason, end.Message
		return nil
	}); err != nil {
		// The sandbox goes all the same; that it went is told when it can be kept.
		m.log.Error("keep the end of a session", "session", h.id, "error", err)
	}
	close(h.ending)
	if sandbox != nil && !m.closeSandbox(h.ctx, h.id, sandbox) {
		h.hangUp()
		return
	}
	h.hangUp()
	m.freeRoom(h.id)
	if h.keepEnd(end) {
		m.drop(h)
	}
}

// keepEnd writes that the session has ended until that succeeds, and reports false where the server stopped first.
func (h *hold) keepEnd(end *End) bool {
	for attempt := 0; ; attempt++ {
		err := h.change(func(r *Record, now time.Time) error {
			s := &r.Session
			if s.Reason == "" {
				s.Reason, s.Message = end.Reason, end.Message
			}
			s.State, s.EndedAt = Ended, now
			return nil
		})
		if err == nil {
			return true
		}
		h.m.log.Error("keep the end of a session", "session", h.id, "error", err)
		if !pause(h.m.base, retryAfter(attempt)) {
			return false
		}
	}
}

// closeSandbox closes a sandbox, and tries again until that succeeds. It reports false where the server stopped first.
func (m *Manager) closeSandbox(ctx context.Context, id ID, sandbox Sandbox) bool {
	for attempt := 0; ; attempt++ {
		err := m.closeOnce(ctx, sandbox)
		if err == nil {
			return true
		}
		m.log.Error("close sandbox", "session", id, "attempt", attempt+1, "error", err)
		if !pause(m.base, retryAfter(attempt)) { //nolint:contextcheck // ctx has ended with the session; the server's may not have
			return false
		}
	}
}

func (m *Manager) closeOnce(ctx context.Context, sandbox Sandbox) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.CloseTimeout)
	defer cancel()
	return sandbox.Close(ctx)
}
