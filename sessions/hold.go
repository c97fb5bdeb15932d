package sessions

import (
	"context"
	"sync"
	"time"

	"berth/quotas"
)

// hold is one session while it lives. One goroutine supervises it (run); everybody else reads copies, asks for an end
// by cancelling ctx with an *End, or changes the record through change.
//
// Locks are taken in this order: Manager.mu, hold.saving, hold.mu. No store or sandbox is called under mu.
type hold struct {
	m      *Manager
	id     ID
	limits quotas.Limits
	ctx    context.Context // ends with the cause: an *End, or errKept
	cancel context.CancelCauseFunc

	granted chan struct{} // closed when there is room for the sandbox
	ending  chan struct{} // closed when the end has begun
	done    chan struct{} // closed when the supervisor has returned
	wake    chan struct{} // holds one: something that the clock depends on has changed
	watched chan struct{} // holds one: somebody has begun to watch

	saving sync.Mutex    // held while a change is written, so that changes are told in the order they were kept
	skew   time.Duration // of the wall clock that the record's times go by; guarded by saving

	mu        sync.Mutex
	rec       Record
	told      bool // the first record is kept: the session exists for others
	place     int  // in the queue
	sandbox   Sandbox
	adopted   bool // an earlier server launched the sandbox
	clock     clock
	conns     map[*conn]struct{}
	listeners map[*listener]struct{}
}

func (m *Manager) newHold(r Record) *hold {
	ctx, cancel := context.WithCancelCause(m.base)
	return &hold{
		m: m, id: r.Session.ID, limits: r.Session.Limits, skew: m.wall.skewed(), ctx: ctx, cancel: cancel, rec: r,
		granted: make(chan struct{}), ending: make(chan struct{}), done: make(chan struct{}),
		wake: make(chan struct{}, 1), watched: make(chan struct{}, 1),
		conns: make(map[*conn]struct{}), listeners: make(map[*listener]struct{}),
	}
}

// nudge puts a token into a channel that holds one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// record returns a copy of what is kept.
func (h *hold) record() Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec
}

// session returns what may be told, and whether the session may be told of at all.
func (h *hold) session() (Session, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessionLocked(), h.told
}

func (h *hold) sessionLocked() Session {
	s := h.rec.Session
	if s.State == Queued {
		s.QueuePosition = h.place
	}
	return s
}

func (h *hold) state() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec.Session.State
}

// change lets f alter the record, keeps the result, and then tells it. Where f or the store fails nothing changes. now
// is the time of day, in step with the record's times.
func (h *hold) change(f func(r *Record, now time.Time) error) error {
	h.saving.Lock()
	defer h.saving.Unlock()
	r := h.record()
	before := r.Session.State
	now, mono, skew := h.m.wall.read()
	r.Session.shift(skew - h.skew)
	if err := f(&r, now); err != nil {
		return err
	}
	if r.Session.State.order() < before.order() {
		return &Error{Err: ErrEnded, Message: "This session is ending."}
	}
	if err := h.m.save(h.ctx, r); err != nil {
		return err
	}
	h.skew = skew
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rec, h.told = r, true
	h.clock.follow(r, now, mono)
	h.tellSession()
	nudge(h.wake)
	return nil
}

// shift moves the times that lie ahead, after the wall clock was set: the time left stays as it was.
func (s *Session) shift(by time.Duration) {
	if !s.ExpiresAt.IsZero() {
		s.ExpiresAt = s.ExpiresAt.Add(by)
	}
	if !s.MaxExpiresAt.IsZero() {
		s.MaxExpiresAt = s.MaxExpiresAt.Add(by)
	}
}

// setPlace tells the place in the queue. It is not kept: it follows from the records' order.
func (h *hold) setPlace(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.place == n {
		return
	}
	h.place = n
	if h.told && h.rec.Session.State == Queued {
		h.tellSession()
	}
}
