// Package webtest is what the tests of package web stand on: a Manager in memory, whose sandboxes speak the real sandbox
// API over real connections.
package webtest

import (
	"context"
	"net"
	"sort"
	"sync"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// Manager holds sessions in memory. It starts no clocks: tests say what happens.
type Manager struct {
	mu       sync.Mutex
	held     map[sessions.ID]*held
	envs     []sessions.Environment
	status   sessions.Status
	refusal  error // of the next creations
	creates  []sessions.Request
	newState sessions.State
}

type held struct {
	session   sessions.Session
	visitor   string
	token     string
	sandbox   *Sandbox
	listeners map[chan sessions.Event]bool
}

// Limits are those of every session of the fake.
var limits = quotas.Limits{CPUs: 1, MemoryBytes: 512 << 20, PIDs: 256, DiskBytes: 2 << 30, DiskInodes: 1 << 17, Bandwidth: 80_000_000, Terminals: 8}

// NewManager has two environments; its sessions are ready at once.
func NewManager() *Manager {
	return &Manager{
		held:     map[sessions.ID]*held{},
		newState: sessions.Ready,
		status:   sessions.Status{Capacity: 40},
		envs: []sessions.Environment{
			{Name: "debian", Title: "Debian", Description: "Debian 12 with bash, apt and the usual tools.", Image: "debian", Hostname: "debian", Limits: limits, Lifetime: 45 * time.Minute, MaxLifetime: 3 * time.Hour, IdleTimeout: 10 * time.Minute, Pool: 2},
			{Name: "busybox", Title: "BusyBox", Description: "The smallest useful Linux: one program, many names.", Image: "busybox", Hostname: "busybox", Limits: limits, Lifetime: 45 * time.Minute, MaxLifetime: 3 * time.Hour, Pool: 1},
		},
	}
}

// Refuse makes every later creation fail with err; nil ends that.
func (m *Manager) Refuse(err error) { m.with(func() { m.refusal = err }) }

// SetStatus says how the server does.
func (m *Manager) SetStatus(s sessions.Status) { m.with(func() { m.status = s }) }

// SetNewState is the state that later sessions begin in.
func (m *Manager) SetNewState(s sessions.State) { m.with(func() { m.newState = s }) }

// Requests are the creations asked for so far.
func (m *Manager) Requests() (all []sessions.Request) {
	m.with(func() { all = append(all, m.creates...) })
	return all
}

func (m *Manager) with(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// Create implements handlers.Manager.
func (m *Manager) Create(_ context.Context, r sessions.Request) (sessions.Created, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creates = append(m.creates, r)
	if m.refusal != nil {
		return sessions.Created{}, m.refusal
	}
	known := false
	for _, e := range m.envs {
		known = known || e.Name == r.Environment
	}
	if !known {
		return sessions.Created{}, &sessions.Error{Err: sessions.ErrUnknownEnvironment, Message: "There is no environment \"" + r.Environment + "\". There are: debian, busybox."}
	}
	now := time.Now()
	lifetime := r.Lifetime
	if lifetime == 0 {
		lifetime = 45 * time.Minute
	}
	s := sessions.Session{ID: sessions.NewID(), Environment: r.Environment, State: m.newState, Limits: limits, CreatedAt: now}
	if s.State == sessions.Queued {
		s.QueuePosition = 3
	} else {
		s.ReadyAt, s.ExpiresAt, s.MaxExpiresAt = now, now.Add(lifetime), now.Add(3*time.Hour)
	}
	h := &held{session: s, visitor: r.Visitor, token: "token-of-" + string(s.ID), sandbox: NewSandbox(), listeners: map[chan sessions.Event]bool{}}
	m.held[s.ID] = h
	return sessions.Created{Session: s, Token: h.token}, nil
}

func (m *Manager) find(c sessions.Credential, id sessions.ID) (*held, error) {
	h, ok := m.held[id]
	if !ok || !h.opens(c) {
		return nil, sessions.ErrNotFound
	}
	return h, nil
}

func (h *held) opens(c sessions.Credential) bool {
	return c.Admin || c.Visitor != "" && c.Visitor == h.visitor || c.Token != "" && c.Token == h.token
}

// Get implements handlers.Manager.
func (m *Manager) Get(_ context.Context, c sessions.Credential, id sessions.ID) (sessions.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.find(c, id)
	if err != nil {
		return sessions.Session{}, err
	}
	return h.session, nil
}

// List implements handlers.Manager.
func (m *Manager) List(_ context.Context, c sessions.Credential) ([]sessions.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []sessions.Session
	for _, h := range m.held {
		if h.opens(c) {
			all = append(all, h.session)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].CreatedAt.Before(all[j].CreatedAt) })
	return all, nil
}

// Extend implements handlers.Manager.
func (m *Manager) Extend(_ context.Context, c sessions.Credential, id sessions.ID) (sessions.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.find(c, id)
	if err != nil {
		return sessions.Session{}, err
	}
	if !h.session.ExpiresAt.Before(h.session.MaxExpiresAt) {
		return sessions.Session{}, &sessions.Error{Err: sessions.ErrCannotExtend, Message: "This session lasts as long as it may: save your work and start another."}
	}
	h.session.ExpiresAt = h.session.ExpiresAt.Add(45 * time.Minute)
	if h.session.ExpiresAt.After(h.session.MaxExpiresAt) {
		h.session.ExpiresAt = h.session.MaxExpiresAt
	}
	h.tell()
	return h.session, nil
}

// End implements handlers.Manager.
func (m *Manager) End(_ context.Context, c sessions.Credential, id sessions.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.find(c, id)
	if err != nil {
		return err
	}
	h.end(sessions.Closed, "")
	return nil
}

func (h *held) end(reason sessions.Reason, message string) {
	h.session.State, h.session.Reason, h.session.Message, h.session.EndedAt = sessions.Ended, reason, message, time.Now()
	h.tell()
	h.sandbox.Close()
}

func (h *held) tell() {
	s := h.session
	h.publish(sessions.Event{Type: sessions.EventSession, Session: &s})
}

func (h *held) publish(e sessions.Event) {
	for l := range h.listeners {
		select {
		case l <- e:
		default: // a slow listener is never waited for
		}
	}
}

// Change changes a session and tells those who watch it.
func (m *Manager) Change(id sessions.ID, f func(*sessions.Session)) {
	m.with(func() {
		h := m.held[id]
		f(&h.session)
		h.tell()
	})
}

// Finish ends a session as the server would.
func (m *Manager) Finish(id sessions.ID, r sessions.Reason, message string) {
	m.with(func() { m.held[id].end(r, message) })
}

// Publish tells those who watch the session.
func (m *Manager) Publish(id sessions.ID, e sessions.Event) { m.with(func() { m.held[id].publish(e) }) }

// Watching is how many listen to the session's events.
func (m *Manager) Watching(id sessions.ID) (n int) {
	m.with(func() { n = len(m.held[id].listeners) })
	return n
}

// Sandbox is the session's.
func (m *Manager) Sandbox(id sessions.ID) (s *Sandbox) {
	m.with(func() { s = m.held[id].sandbox })
	return s
}

// Events implements handlers.Manager.
func (m *Manager) Events(ctx context.Context, c sessions.Credential, id sessions.ID) (<-chan sessions.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.find(c, id)
	if err != nil {
		return nil, err
	}
	l := make(chan sessions.Event, 16)
	h.listeners[l] = true
	context.AfterFunc(ctx, func() {
		m.with(func() {
			delete(h.listeners, l)
			close(l)
		})
	})
	return l, nil
}

// Dial implements handlers.Manager.
func (m *Manager) Dial(ctx context.Context, c sessions.Credential, id sessions.ID) (net.Conn, error) {
	m.mu.Lock()
	h, err := m.find(c, id)
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	switch h.session.State {
	case sessions.Ready:
		return h.sandbox.Dial(ctx)
	case sessions.Queued, sessions.Starting:
		return nil, &sessions.Error{Err: sessions.ErrNotReady, Message: "The session is still starting. Try again in a second.", RetryAfter: time.Second}
	default:
		return nil, sessions.ErrEnded
	}
}

// DialShared implements handlers.Manager.
func (m *Manager) DialShared(ctx context.Context, id sessions.ID) (net.Conn, error) {
	return m.Dial(ctx, sessions.Credential{Admin: true}, id)
}

// Environments implements handlers.Manager.
func (m *Manager) Environments() []sessions.Environment { return m.envs }

// Status implements handlers.Manager.
func (m *Manager) Status(context.Context) (s sessions.Status) {
	m.with(func() { s = m.status })
	return s
}

// Close ends every sandbox.
func (m *Manager) Close() {
	m.with(func() {
		for _, h := range m.held {
			h.sandbox.Close()
		}
	})
}
