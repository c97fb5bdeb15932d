package sessionstest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth/sessions"
)

// Store is a sessions.Store in memory. It outlives the managers that use it, as a database file does.
type Store struct {
	mu      sync.Mutex
	records []sessions.Record
	warm    []sessions.Warm
	ledger  []sessions.LedgerRow
	saves   int
	err     error
}

var _ sessions.Store = (*Store)(nil)

// NewStore returns an empty store.
func NewStore() *Store { return &Store{} }

// Fail lets every call that writes fail; nil: no more.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Writes returns how often something was written.
func (s *Store) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// Ledger returns a copy of the ledger.
func (s *Store) Ledger() []sessions.LedgerRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger)
}

// Save implements sessions.Store.
func (s *Store) Save(ctx context.Context, r sessions.Record) error {
	return s.write(ctx, func() {
		r.Session.QueuePosition = 0
		at := slices.IndexFunc(s.records, func(o sessions.Record) bool { return o.Session.ID == r.Session.ID })
		if at < 0 {
			s.records = append(s.records, r)
		} else {
			s.records[at] = r
		}
		s.dropWarm(r.Session.ID)
		known := slices.ContainsFunc(s.ledger, func(l sessions.LedgerRow) bool { return l.ID == r.Session.ID })
		if r.Session.State == sessions.Ended && !known {
			s.ledger = append(s.ledger, r.LedgerRow())
		}
	})
}

func (s *Store) write(ctx context.Context, f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.saves++
	f()
	return nil
}

func (s *Store) dropWarm(id sessions.ID) {
	s.warm = slices.DeleteFunc(s.warm, func(w sessions.Warm) bool { return w.ID == id })
}

// Get implements sessions.Store.
func (s *Store) Get(_ context.Context, id sessions.ID) (sessions.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.Session.ID == id {
			return r, nil
		}
	}
	return sessions.Record{}, fmt.Errorf("session %s: %w", id, sessions.ErrNotFound)
}

// Live implements sessions.Store.
func (s *Store) Live(context.Context) ([]sessions.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := slices.DeleteFunc(slices.Clone(s.records), func(r sessions.Record) bool { return r.Session.State == sessions.Ended })
	slices.SortFunc(live, func(a, b sessions.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return live, nil
}

// Forget implements sessions.Store.
func (s *Store) Forget(ctx context.Context, before time.Time) (removed int, err error) {
	err = s.write(ctx, func() {
		n := len(s.records)
		s.records = slices.DeleteFunc(s.records, func(r sessions.Record) bool {
			return r.Session.State == sessions.Ended && r.Session.EndedAt.Before(before)
		})
		removed = n - len(s.records)
	})
	return removed, err
}

// SaveWarm implements sessions.Store.
func (s *Store) SaveWarm(ctx context.Context, w sessions.Warm) error {
	return s.write(ctx, func() {
		s.dropWarm(w.ID)
		s.warm = append(s.warm, w)
	})
}

// DeleteWarm implements sessions.Store.
func (s *Store) DeleteWarm(ctx context.Context, id sessions.ID) error {
	return s.write(ctx, func() { s.dropWarm(id) })
}

// Warm implements sessions.Store.
func (s *Store) Warm(context.Context) ([]sessions.Warm, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warm), nil
}

// Check implements sessions.Store.
func (s *Store) Check(ctx context.Context) error { return s.write(ctx, func() {}) }
