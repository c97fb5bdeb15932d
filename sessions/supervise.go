package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errKept is the cause with which a session's context ends when the server stops and its sandbox lives on.
var errKept = errors.New("the server stops, the sandbox lives on")

// run supervises a session from its creation to its end. It returns when the session has ended, or when the server
// stops and leaves the sandbox to the next one.
func (h *hold) run() {
	defer h.m.wg.Done()
	defer close(h.done)
	sandbox := h.obtain()
	var attendants sync.WaitGroup
	if sandbox != nil && h.ctx.Err() == nil {
		attendants.Go(func() { h.watchExit(sandbox) })
		attendants.Go(func() { h.watchUsage(sandbox) })
		h.keepTime()
	}
	<-h.ctx.Done()
	var end *End
	if errors.As(context.Cause(h.ctx), &end) {
		h.finish(end, sandbox)
	} else {
		h.hangUp()
	}
	attendants.Wait()
}

// obtain returns a ready session's sandbox: the one it has already, or one that it launches when it is its turn. It
// returns nil where ctx ended and nothing was launched.
func (h *hold) obtain() Sandbox {
	h.mu.Lock()
	sandbox, state := h.sandbox, h.rec.Session.State
	h.mu.Unlock()
	if state == Ending {
		return sandbox
	}
	if sandbox == nil {
		if sandbox = h.launch(); sandbox == nil {
			return nil
		}
		h.mu.Lock()
		h.sandbox = sandbox
		h.mu.Unlock()
	}
	if state != Ready {
		h.advance(becomeReady) // else ctx has ended
	}
	return sandbox
}

// launch waits for room and launches the sandbox. Where it fails the session is told to end.
func (h *hold) launch() Sandbox {
	defer h.m.launched(h.id)
	select {
	case <-h.granted:
	case <-h.ctx.Done():
		return nil
	}
	if h.ctx.Err() != nil {
		return nil
	}
	if h.state() == Queued {
		if !h.advance(becomeStarting) {
			return nil
		}
	}
	sandbox, err := h.m.launch(h.ctx, h.id, h.record().Spec)
	if err != nil {
		h.cancel(&End{
			Reason: Crashed, Err: fmt.Errorf("launch sandbox %s: %w", h.id, err),
			Message: "The machine could not be started. Try again; if that fails too, tell the operator of this server.",
		})
		return nil
	}
	return sandbox
}

// advance changes the record, and tries again while the store fails: a session does not end for that. It reports false
// where ctx ended first.
func (h *hold) advance(f func(*Record, time.Time) error) bool {
	for attempt := 0; h.ctx.Err() == nil; attempt++ {
		err := h.change(f)
		if err == nil {
			return true
		}
		h.m.log.Error("keep a session's state", "session", h.id, "error", err)
		if !pause(h.ctx, retryAfter(attempt)) {
			return false
		}
	}
	return false
}

func becomeStarting(r *Record, now time.Time) error {
	s := &r.Session
	s.State = Starting
	s.ExpiresAt, s.MaxExpiresAt = now.Add(r.Lifetime), now.Add(r.MaxLifetime)
	return nil
}

func becomeReady(r *Record, now time.Time) error {
	s := &r.Session
	s.State, s.ReadyAt = Ready, now
	s.ExpiresAt, s.MaxExpiresAt = now.Add(r.Lifetime), now.Add(r.MaxLifetime)
	return nil
}

// keepTime warns of the end, and brings it about when the time is up or nobody has used the session for too long.
func (h *hold) keepTime() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		case <-timer.C:
		}
		h.mu.Lock()
		end, notice, next := h.clock.look(h.rec)
		h.mu.Unlock()
		if notice != nil {
			h.notify(*notice)
		}
		if end != nil {
			h.cancel(end)
			return
		}
		timer.Reset(next)
	}
}
