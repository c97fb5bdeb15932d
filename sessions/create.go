package sessions

import (
	"context"
	"fmt"
	"time"
)

// Request asks for a session.
type Request struct {
	Environment string
	Lifetime    time.Duration // 0: the environment's
	Visitor     string        // opaque id; sessions are counted and found by it
	Address     string        // IP address the request came from; empty: not counted
	Admin       bool          // the operator: no limit per visitor or address, but the host's capacity
}

// Created is a new session and its token, which is told only here.
type Created struct {
	Session
	Token string `json:"token"`
}

// Create makes a session and returns at once: it is Ready where the pool had a sandbox for it, Starting where there is
// room, else Queued with its place. Errors: ErrUnknownEnvironment, ErrInvalid (lifetime), ErrTooMany, ErrQueueFull,
// ErrUnavailable.
func (m *Manager) Create(ctx context.Context, req Request) (Created, error) {
	env, lifetime, err := m.checkRequest(req)
	if err != nil {
		return Created{}, err
	}
	token, hash := newToken()
	r := Record{
		Session: Session{ID: NewID(), Environment: env.Name, State: Queued, Limits: env.Limits},
		Visitor: req.Visitor, Address: req.Address, Admin: req.Admin, TokenHash: hash, Spec: m.spec(env),
		Lifetime: lifetime, MaxLifetime: env.MaxLifetime, IdleTimeout: env.IdleTimeout,
	}
	h, w, err := m.admit(r)
	if err != nil {
		return Created{}, err
	}
	err = h.change(func(r *Record, now time.Time) error {
		r.Session.CreatedAt = now
		switch {
		case w != nil:
			return becomeReady(r, now)
		case h.isGranted():
			return becomeStarting(r, now)
		}
		return nil
	})
	if err != nil {
		m.withdraw(h, w)
		m.log.Error("create session", "error", err)
		return Created{}, errNotRecorded()
	}
	s, _ := h.session()
	go h.run()
	return Created{Session: s, Token: token}, nil
}

func (h *hold) isGranted() bool {
	select {
	case <-h.granted:
		return true
	default:
		return false
	}
}

func (m *Manager) checkRequest(req Request) (Environment, time.Duration, error) {
	env, ok := m.envs[req.Environment]
	if !ok {
		return env, 0, &Error{Err: ErrUnknownEnvironment, Message: fmt.Sprintf(
			"There is no environment %q. The list is at /api/v1/environments.", req.Environment)}
	}
	switch {
	case req.Lifetime < 0:
		return env, 0, &Error{Err: ErrInvalid, Message: "The lifetime must be more than 0."}
	case req.Lifetime > env.MaxLifetime:
		return env, 0, &Error{Err: ErrInvalid, Message: fmt.Sprintf(
			"A lifetime of %s is too long: %s is the most for %s.", inWords(req.Lifetime), inWords(env.MaxLifetime), env.Name)}
	case req.Lifetime == 0:
		return env, env.Lifetime, nil
	}
	return env, req.Lifetime, nil
}

// admit lets a session in: with a sandbox of the pool, with room of its own, or into the queue. Its supervisor is
// counted already.
func (m *Manager) admit(r Record) (*hold, *warm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkOpen(); err != nil {
		return nil, nil, err
	}
	if err := m.checkVisitor(r); err != nil {
		return nil, nil, err
	}
	w := m.takeWarm(r.Session.Environment)
	if w != nil {
		r.Session.ID = w.id
	}
	m.seq++
	r.Seq = m.seq
	h := m.newHold(r)
	if w != nil {
		h.sandbox = w.sandbox
		close(h.granted)
	} else {
		m.queue.push(h, r.queueKey())
		m.settle()
		if !h.isGranted() && m.queue.len() > m.cfg.Limits.QueueLength {
			m.queue.remove(h)
			m.settle()
			h.cancel(errKept)
			return nil, nil, m.queueFull()
		}
	}
	m.live[h.id] = h
	m.wg.Add(1)
	return h, w, nil
}

// withdraw undoes admit.
func (m *Manager) withdraw(h *hold, w *warm) {
	m.mu.Lock()
	delete(m.live, h.id)
	delete(m.launching, h.id)
	m.queue.remove(h)
	if w == nil {
		m.room.free(h.id)
	} else {
		m.leaving[w.id] = struct{}{}
	}
	m.settle()
	m.mu.Unlock()
	h.cancel(errKept)
	if w == nil {
		m.wg.Done()
		return
	}
	go func() {
		defer m.wg.Done()
		w.close()
	}()
}
