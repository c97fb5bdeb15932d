package sessions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
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
	m.adopt(records, kept, found) //nolint:contextcheck // the sessions outlive Start; each has its own context
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
