package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Dial connects to the API of a session's sandbox. While the connection is open the session is in use, so do not keep
// idle ones. It is closed when the sandbox has gone. ErrNotReady before the session is ready, ErrEnded afterwards.
func (m *Manager) Dial(ctx context.Context, c Credential, id ID) (net.Conn, error) {
	h, r, err := m.find(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, endedError(r.Session)
	}
	return h.dial(ctx)
}

// DialShared is Dial for whoever knows the session's ID, as those do whom a link to one of its ports was given. The caller sees
// to it that they get at a port and at nothing else (docs/adr/0006).
func (m *Manager) DialShared(ctx context.Context, id ID) (net.Conn, error) {
	return m.Dial(ctx, Credential{Admin: true}, id)
}

func endedError(s Session) error {
	return &Error{Err: ErrEnded, Message: orSentence(s.Message, "This session has ended. Start a new one to go on.")}
}

func orSentence(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (h *hold) dial(ctx context.Context) (net.Conn, error) {
	c, sandbox, err := h.open()
	if err != nil {
		return nil, err
	}
	inner, err := sandbox.Dial(ctx)
	if err != nil {
		h.forget(c)
		return nil, fmt.Errorf("connect to sandbox %s: %w", h.id, err)
	}
	if !h.attach(c, inner) {
		_ = inner.Close() // the session has ended meanwhile
		return nil, &Error{Err: ErrEnded, Message: "This session has ended. Start a new one to go on."}
	}
	return c, nil
}

// open counts a connection that is about to be made.
func (h *hold) open() (*conn, Sandbox, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch s := h.rec.Session; {
	case s.State == Ending, s.State == Ended, h.ctx.Err() != nil:
		return nil, nil, endedError(s)
	case s.State != Ready:
		return nil, nil, &Error{Err: ErrNotReady, Message: "This session is not ready yet. Try again in a few seconds.", RetryAfter: retryFirst}
	}
	c := &conn{h: h}
	h.conns[c] = struct{}{}
	h.clock.begin()
	nudge(h.wake)
	return c, h.sandbox, nil
}

func (h *hold) attach(c *conn, inner net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.conns[c]; !ok {
		return false
	}
	c.Conn = inner
	return true
}

func (h *hold) forget(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.conns[c]; !ok {
		return
	}
	delete(h.conns, c)
	h.clock.end()
	nudge(h.wake)
}

// hangUp closes the connections that are left when the sandbox has gone.
func (h *hold) hangUp() {
	h.mu.Lock()
	left := h.conns
	h.conns = make(map[*conn]struct{})
	h.clock.uses -= len(left)
	h.mu.Unlock()
	for c := range left {
		if c.Conn != nil {
			_ = c.Conn.Close() // its other end has gone
		}
	}
}

// conn is a connection to a sandbox that the session counts as use.
type conn struct {
	net.Conn
	h    *hold
	once sync.Once
}

// Close closes the connection and ends the use.
func (c *conn) Close() error {
	c.once.Do(func() { c.h.forget(c) })
	return c.Conn.Close()
}

// CloseWrite ends the sending half, where the launcher's connections have halves.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
