package sessions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"
)

// current reports whether a sandbox of the pool is what its environment would be launched as now.
func (m *Manager) current(w Warm) bool {
	env, ok := m.envs[w.Environment]
	if !ok || env.Pool == 0 {
		return false
	}
	now, err1 := json.Marshal(m.spec(env)) // as it is kept: there an empty list and none are the same
	then, err2 := json.Marshal(w.Spec)
	return err1 == nil && err2 == nil && bytes.Equal(now, then)
}

// adopt puts what was kept in its place and opens for new sessions.
func (m *Manager) adopt(records []Record, kept []Warm, found map[ID]Sandbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase = phaseOpen
	now := m.now()
	for _, r := range records {
		m.seq = max(m.seq, r.Seq)
		h := m.adoptHold(r, found[r.Session.ID], now)
		m.wg.Add(1)
		go h.run()
	}
	for _, w := range kept {
		m.adoptWarm(w, found[w.ID])
	}
	m.settle()
}

func (m *Manager) adoptHold(r Record, sandbox Sandbox, now time.Time) *hold {
	h := m.newHold(r)
	h.told, h.sandbox, h.adopted = true, sandbox, true
	m.live[h.id] = h
	_, gone := m.remnants[h.id]
	gone = gone || sandbox == nil
	switch state := r.Session.State; {
	case state == Queued:
		m.queue.push(h, r.queueKey())
		return h
	case state == Ending:
		h.cancel(&End{Reason: r.Session.Reason, Message: r.Session.Message})
	case state == Ready && gone && !now.Before(r.Session.ExpiresAt):
		h.cancel(endExpired(r))
	case state == Ready && gone, state == Starting && gone && sandbox != nil: // the latter cannot be launched again
		h.cancel(&End{Reason: Crashed, Err: errors.New("the sandbox is gone since the last server"),
			Message: "The machine stopped while the server was away, and its files are gone. Start a new one to go on."})
	case state == Ready:
		_, mono, _ := m.wall.read()
		h.clock.follow(r, now, mono)
	case sandbox == nil: // Starting: its launch did not finish
		h.adopted = false
		m.grant(h)
		return h
	}
	if sandbox != nil {
		m.room.take(h.id, h.share())
	}
	return h
}

func (m *Manager) adoptWarm(w Warm, sandbox Sandbox) {
	if sandbox == nil {
		return
	}
	warm := m.newWarm(m.pools[w.Environment], w.ID)
	warm.sandbox = sandbox
	if _, gone := m.remnants[w.ID]; !gone {
		warm.stage = warmReady
	}
	go warm.run()
}

// forgetLost removes the pool's sandboxes that are gone from the store.
func (m *Manager) forgetLost(kept []Warm, found map[ID]Sandbox) {
	for _, w := range kept {
		if found[w.ID] != nil {
			continue
		}
		if err := m.write(m.base, func(ctx context.Context) error { return m.cfg.Store.DeleteWarm(ctx, w.ID) }); err != nil {
			m.log.Error("forget sandbox of the pool", "sandbox", w.ID, "error", err)
		}
	}
}

// markRemnants puts a remnant in the place of every sandbox that should be there and is not.
func (m *Manager) markRemnants(records []Record, kept []Warm, found map[ID]Sandbox) {
	mark := func(id ID) {
		if found[id] == nil {
			found[id] = remnant{m}
			m.remnants[id] = struct{}{}
		}
	}
	for _, r := range records {
		if r.Session.State != Queued {
			mark(r.Session.ID)
		}
	}
	for _, w := range kept {
		if m.pools[w.Environment] != nil {
			mark(w.ID)
		}
	}
}
