package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Close stops the manager and waits for its goroutines, no longer than ctx lasts.
//
// With end false sandboxes, those of the pools included, live on for the next server: sessions stay as they are in the
// store, launches under way are undone and done again by it. With end true every session ends first, by Admin, and
// the pools are emptied. A second call waits too.
func (m *Manager) Close(ctx context.Context, end bool) error {
	m.mu.Lock()
	opened := m.phase != phaseNew
	m.phase = phaseClosing
	if end && opened {
		m.endAll()
	}
	m.mu.Unlock()
	if !opened {
		return nil
	}
	var err error
	if end {
		if err = m.waitForEnds(ctx); err != nil {
			m.log.Error("close", "error", err)
		}
	}
	m.stop(errKept)
	done := make(chan struct{})
	go func() {
		m.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("stop: sandboxes are still being launched or closed: %w", ctx.Err()))
	}
}

// endAll begins the end of every session and sandbox; it is called under mu.
func (m *Manager) endAll() {
	for _, h := range m.live {
		h.cancel(&End{Reason: Admin, Message: "The server was stopped by its operator. Start a new session when it is back."})
	}
	for _, p := range m.pools {
		for _, w := range slices.Clone(p.warm) {
			m.leave(w)
		}
	}
}

// waitForEnds returns when nothing is held any more.
func (m *Manager) waitForEnds(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		sessions, sandboxes := len(m.live), len(m.room.held)
		m.mu.Unlock()
		if sessions == 0 && sandboxes == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("end all sessions: %d sessions and %d sandboxes are left; the next start removes them: %w",
				sessions, sandboxes, ctx.Err())
		}
	}
}
