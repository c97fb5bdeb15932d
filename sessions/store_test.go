package sessions_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"berth/sessions"
	"berth/sessions/sessionstest"
	"berth/sessions/store"
)

// onSQLite starts a server on a database file, in real time.
func onSQLite(tb testing.TB, path string, l sessions.Launcher, limits sessions.Admission, pool int) (*sessions.Manager, *store.DB) {
	tb.Helper()
	db, err := store.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := sessions.New(sessions.Config{
		Launcher: l, Store: db, Limits: limits, Log: slog.New(slog.DiscardHandler),
		Environments: []sessions.Environment{environment("debian", pooled(pool))},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return m, db
}

// At three times the capacity everybody is answered within 500 ms, and a restart loses nobody and changes no place.
func TestOverloadAndRestartOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	l := sessionstest.NewLauncher()
	l.LaunchTime = 5 * time.Millisecond
	t.Cleanup(l.Close)
	limits := sessions.Admission{MaxSessions: 20, QueueLength: 20, PerVisitor: 1}
	m, db := onSQLite(t, path, l, limits, 0)
	took := make([]time.Duration, 60)
	errs := make([]error, 60)
	done := make(chan int)
	for i := range took {
		go func() {
			began := time.Now()
			_, errs[i] = m.Create(t.Context(), sessions.Request{Environment: "debian", Visitor: fmt.Sprint(i)})
			took[i] = time.Since(began)
			done <- i
		}()
	}
	refused := 0
	for range took {
		if i := <-done; errs[i] != nil {
			refused++
		}
	}
	t.Logf("slowest answer: %s", slices.Max(took))
	if slices.Max(took) > 500*time.Millisecond || refused != 20 {
		t.Errorf("slowest answer %s, %d refused", slices.Max(took), refused)
	}
	before := places(t, m)
	if err := m.Close(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	m, db = onSQLite(t, path, l, limits, 0)
	t.Logf("started again in %s", time.Since(began))
	if after := places(t, m); !slices.Equal(before, after) || len(after) != 20 {
		t.Errorf("the queue was %v, and is %v", before, after)
	}
	if err := m.Close(t.Context(), true); err != nil {
		t.Error(err)
	}
	ledger, err := db.Ledger(t.Context(), time.Time{}, 100)
	if err != nil || len(ledger) != 40 || len(l.Running()) != 0 {
		t.Errorf("ledger: %d rows, %v; sandboxes left: %d", len(ledger), err, len(l.Running()))
	}
	_ = db.Close()
}

// places returns who waits, in order.
func places(t *testing.T, m *sessions.Manager) []sessions.ID {
	t.Helper()
	list, err := m.List(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]sessions.ID, m.Status(t.Context()).Queued)
	for _, s := range list {
		if s.State == sessions.Queued {
			ids[s.QueuePosition-1] = s.ID
		}
	}
	return ids
}

func BenchmarkCreateFromPool(b *testing.B) {
	l := sessionstest.NewLauncher()
	defer l.Close()
	m, db := onSQLite(b, filepath.Join(b.TempDir(), "berth.db"), l, sessions.Admission{}, 1)
	for b.Loop() {
		b.StopTimer()
		for m.Status(b.Context()).Pool["debian"] == 0 {
			time.Sleep(time.Millisecond) //nolint:forbidigo // the pool is filled at its own pace
		}
		b.StartTimer()
		c, err := m.Create(b.Context(), sessions.Request{Environment: "debian", Admin: true})
		if err != nil || c.State != sessions.Ready {
			b.Fatal(c.State, err)
		}
		b.StopTimer()
		_ = m.End(b.Context(), operator, c.ID)
		b.StartTimer()
	}
	_ = m.Close(b.Context(), true)
	_ = db.Close()
}
