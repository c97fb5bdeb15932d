package sessions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	findAtOnce   = 8 // sandboxes looked for at the same time
	findAttempts = 3
)

// Start takes over what an earlier server left, however it stopped: sandboxes that still run go on, launches that were
// under way are begun anew, ends that were under way are finished, and what no session owns is swept. Then it opens
// for new sessions. ctx bounds the start only; Close stops the manager.
func (m *Manager) Start(ctx context.Context) error {
	records, err := m.cfg.Store.Live(ctx)
	if err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	kept, err := m.cfg.Store.Warm(ctx)
	if err != nil {
		return fmt.Errorf("load pool: %w", err)
	}
	m.base, m.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	found := m.findAll(ctx, records, kept)
	if ctx.Err() != nil {
		return fmt.Errorf("find sandboxes: %w", context.Cause(ctx))
	}
	loops := []func(){m.keepPool, m.watchClock, m.watchCapacity, m.forgetEnded}
	if err := m.sweep(ctx, slices.Collect(maps.Keys(found))); err != nil {
		m.log.Error("remnants of sandboxes are left; this is tried again", "error", err)
		m.markRemnants(records, kept, found)
		loops = append(loops, m.sweepStrays)
	}
	m.pollCapacity(ctx)
	m.forgetLost(kept, found)
	m.adopt(records, kept, found)
	for _, f := range loops {
		m.wg.Add(1)
		go f()
	}
	m.log.Info("sessions started", "sessions", len(records), "sandboxes found", len(found))
	return nil
}

// findAll looks for the sandboxes that should be there. One that cannot be found is swept afterwards.
func (m *Manager) findAll(ctx context.Context, records []Record, kept []Warm) map[ID]Sandbox {
	var ids []ID
	for _, r := range records {
		if r.Session.State != Queued {
			ids = append(ids, r.Session.ID)
		}
	}
	for _, w := range kept {
		if m.current(w) {
			ids = append(ids, w.ID)
		}
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		slots = make(chan struct{}, findAtOnce)
		found = make(map[ID]Sandbox)
	)
	for _, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if sandbox := m.findOne(ctx, id); sandbox != nil {
				mu.Lock()
				defer mu.Unlock()
				found[id] = sandbox
			}
		})
	}
	wg.Wait()
	return found
}

func (m *Manager) findOne(ctx context.Context, id ID) Sandbox {
	for attempt := range findAttempts {
		sandbox, err := m.cfg.Launcher.Find(ctx, id)
		if err == nil {
			return sandbox
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		m.log.Error("find sandbox", "session", id, "error", err)
		if attempt+1 < findAttempts && !pause(ctx, retryFirst/4) {
			return nil
		}
	}
	return nil
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

// current reports whether a sandbox of the pool is what its environment would be launched as now.
func (m *Manager) current(w Warm) bool {
	env, ok := m.envs[w.Environment]
	if !ok || env.Pool == 0 {
		return false
	}
	now, err1 := json.Marshal(env.spec()) // as it is kept: there an empty list and none are the same
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
