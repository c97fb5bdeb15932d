package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// find is the one place where a session is looked up for somebody: ErrNotFound unless c may reach it. The hold is nil
// where the session has ended, and the record says how.
func (m *Manager) find(ctx context.Context, c Credential, id ID) (*hold, Record, error) {
	missing := &Error{Err: ErrNotFound, Message: "There is no such session, or it is not yours."}
	if !id.Valid() {
		return nil, Record{}, missing
	}
	m.mu.Lock()
	h := m.live[id]
	m.mu.Unlock()
	if h != nil {
		r := h.record()
		if _, told := h.session(); !told || !c.Admin && !c.owns(&r) {
			return nil, Record{}, missing
		}
		return h, r, nil
	}
	r, err := m.cfg.Store.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, Record{}, missing
	case err != nil:
		return nil, Record{}, fmt.Errorf("look up session %s: %w", id, err)
	case !c.Admin && !c.owns(&r), m.now().Sub(r.Session.EndedAt) > endedKept:
		return nil, Record{}, missing
	}
	return nil, r, nil
}

// Get returns a session, also one that ended in the last 24 hours. ErrNotFound where c does not reach it.
func (m *Manager) Get(ctx context.Context, c Credential, id ID) (Session, error) {
	h, r, err := m.find(ctx, c, id)
	if err != nil {
		return Session{}, err
	}
	if h == nil {
		return r.Session, nil
	}
	s, _ := h.session()
	return s, nil
}

// List returns the sessions that have not ended and that c reaches, the oldest first: a visitor's own, the token's, or
// all for Admin.
func (m *Manager) List(_ context.Context, c Credential) ([]Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Session{}
	for _, h := range m.live {
		r := h.record()
		s, told := h.session()
		if told && s.State != Ended && (c.Admin || c.owns(&r)) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Extend grants a ready session its lifetime anew, from now, up to its environment's most. ErrCannotExtend where that
// is no gain, ErrNotReady before it is ready, ErrEnded afterwards.
func (m *Manager) Extend(ctx context.Context, c Credential, id ID) (Session, error) {
	h, r, err := m.find(ctx, c, id)
	if err != nil {
		return Session{}, err
	}
	if h == nil {
		return Session{}, endedError(r.Session)
	}
	err = h.change(func(r *Record, now time.Time) error {
		s := &r.Session
		switch {
		case s.State == Ending, s.State == Ended, h.ctx.Err() != nil:
			return endedError(*s)
		case s.State != Ready:
			return &Error{Err: ErrNotReady, Message: "This session is not ready yet: its time begins when it is.", RetryAfter: retryFirst}
		}
		until := now.Add(r.Lifetime)
		if until.After(s.MaxExpiresAt) {
			until = s.MaxExpiresAt
		}
		if !until.After(s.ExpiresAt) {
			return &Error{Err: ErrCannotExtend, Message: fmt.Sprintf(
				"This session cannot be extended any more: %s is the longest that one may last. It ends in %s; save what you need.",
				inWords(r.MaxLifetime), inWords(s.ExpiresAt.Sub(now)))}
		}
		s.ExpiresAt = until
		return nil
	})
	if err != nil {
		return Session{}, err
	}
	s, _ := h.session()
	return s, nil
}

// End ends a session, and returns when its end is kept: the sandbox is closed afterwards. Ending one that has ended is
// no error. The reason is Closed where c is its owner's, else Admin.
func (m *Manager) End(ctx context.Context, c Credential, id ID) error {
	h, r, err := m.find(ctx, c, id)
	if err != nil || h == nil {
		return err
	}
	end := &End{Reason: Closed, Message: "You ended this session."}
	if !c.owns(&r) {
		end = &End{Reason: Admin, Message: "The operator of this server ended this session."}
	}
	h.cancel(end)
	select {
	case <-h.ending:
		return nil
	case <-h.done: // perhaps just after its end had begun, perhaps without one
		select {
		case <-h.ending:
			return nil
		default:
		}
		return unavailable("The server is stopping. Try again in a few seconds.")
	case <-ctx.Done():
		return fmt.Errorf("end session %s: %w", id, context.Cause(ctx))
	}
}
