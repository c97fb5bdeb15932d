package sessions

import (
	"errors"
	"fmt"
)

func unavailable(sentence string) error {
	return &Error{Err: ErrUnavailable, Message: sentence, RetryAfter: queueRetry}
}

func errNotRecorded() error {
	return unavailable("Sessions cannot be recorded now: the server's disk may be full. Try again in a minute; if that fails too, tell the operator.")
}

// checkOpen says why no session can be created now; it is called under mu.
func (m *Manager) checkOpen() error {
	switch {
	case m.phase == phaseNew:
		return unavailable("The server is starting. Try again in a few seconds.")
	case m.phase == phaseClosing:
		return unavailable("The server is stopping. Try again in a minute.")
	case m.roomErr != nil:
		return unavailable("The server cannot tell how much room there is. Try again in a minute; if that fails too, tell the operator.")
	case m.capacity() == 0:
		return unavailable("This server has no room for sessions: its memory or disk is full. Try again later, or tell the operator.")
	}
	return nil
}

// checkVisitor holds the limits per visitor and per address; it is called under mu. Sessions that are ending count.
func (m *Manager) checkVisitor(r Record) error {
	if r.Admin {
		return nil
	}
	visitor, address, ending := 0, 0, false
	for _, h := range m.live {
		o := h.record()
		if o.Admin {
			continue
		}
		if o.queueKey() == r.queueKey() {
			visitor++
			ending = ending || o.Session.State == Ending
		}
		if r.Address != "" && addressKey(o.Address) == addressKey(r.Address) {
			address++
		}
	}
	limits := m.cfg.Limits
	switch {
	case visitor >= limits.PerVisitor && ending:
		return &Error{Err: ErrTooMany, RetryAfter: retryFirst, Message: fmt.Sprintf(
			"You have %s, the most that one visitor may have, and one is just being ended: try again in a second.", sessionsInWords(visitor))}
	case visitor >= limits.PerVisitor:
		return &Error{Err: ErrTooMany, Message: fmt.Sprintf(
			"You have %s, the most that one visitor may have: end one to start another.", sessionsInWords(visitor))}
	case address >= limits.PerAddress:
		return &Error{Err: ErrTooMany, RetryAfter: queueRetry, Message: fmt.Sprintf(
			"There are %s from your network address, the most that are allowed: end one, or try again when one has ended.", sessionsInWords(address))}
	}
	return nil
}

func sessionsInWords(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

func (m *Manager) queueFull() error {
	if m.cfg.Limits.QueueLength == 0 {
		return &Error{Err: ErrQueueFull, RetryAfter: queueRetry, Message: "All machines are in use. Try again in half a minute."}
	}
	return &Error{Err: ErrQueueFull, RetryAfter: queueRetry, Message: fmt.Sprintf(
		"All machines are in use, and %s already waiting. Try again in half a minute.", are(m.cfg.Limits.QueueLength))}
}

func are(n int) string {
	if n == 1 {
		return "1 session is"
	}
	return fmt.Sprintf("%d sessions are", n)
}

// queueKey is whom a session counts for: its visitor, and for one without a cookie its address.
func (r Record) queueKey() string {
	switch {
	case r.Visitor != "":
		return "visitor " + r.Visitor
	case r.Admin:
		return "operator"
	default:
		return "address " + addressKey(r.Address)
	}
}

// capacity is how many sessions the host can hold at once: those that have a sandbox, and how many of the largest
// environment fit beside them. The pools do not count: they make room. It is called under mu.
func (m *Manager) capacity() int {
	var largest share
	for _, e := range m.cfg.Environments {
		s := shareOf(e.Limits)
		largest = share{1, max(largest.memory, s.memory), max(largest.disk, s.disk), 0}
	}
	held, n := m.room.total, len(m.room.held)
	for id := range m.leaving {
		held = held.minus(m.room.held[id])
		n--
	}
	for _, p := range m.pools {
		for _, w := range p.warm {
			held = held.minus(m.room.held[w.id])
			n--
		}
	}
	return n + m.room.more(held, largest)
}

// errNoRoom is told to operators.
var errNoRoom = errors.New("no session fits on this host: memory or disk is too small or full, or the limits are too large")
