package sessions_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"berth/quotas"
	"berth/sessions"
	"berth/sessions/sessionstest"
)

const gib = 1 << 30

// world is a server on a fake host, in the time of testing/synctest.
type world struct {
	t        *testing.T
	launcher *sessionstest.Launcher
	store    *sessionstest.Store
	cfg      sessions.Config
	m        *sessions.Manager
	skew     atomic.Int64 // of the wall clock
}

func environment(name string, change ...func(*sessions.Environment)) sessions.Environment {
	e := sessions.Environment{
		Name: name, Title: name, Image: name + ":test", Hostname: name,
		Limits:   quotas.Limits{CPUs: 1, MemoryBytes: gib, PIDs: 512, DiskBytes: 4 * gib, DiskInodes: 1 << 18, Terminals: 8},
		Lifetime: 45 * time.Minute, MaxLifetime: 3 * time.Hour,
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

// inWorld runs a test in a bubble; the server is not started yet.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, launcher: sessionstest.NewLauncher(), store: sessionstest.NewStore()}
		w.launcher.LaunchTime, w.launcher.CloseTime = 100*time.Millisecond, 50*time.Millisecond
		w.cfg = sessions.Config{
			Launcher: w.launcher, Store: w.store, Environments: []sessions.Environment{environment("debian")},
			Log:       slog.New(slog.DiscardHandler),
			WallClock: func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) },
		}
		f(t, w)
		w.store.Fail(nil)
		w.launcher.FailClose(0, nil)
		w.stop(true)
		w.launcher.Close()
	})
}

func (w *world) start() {
	w.t.Helper()
	m, err := sessions.New(w.cfg)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	if err := m.Start(w.t.Context()); err != nil {
		w.t.Fatalf("Start: %v", err)
	}
	w.m = m
}

func (w *world) stop(end bool) {
	w.t.Helper()
	if w.m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	if err := w.m.Close(ctx, end); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	w.m = nil
}

func (w *world) restart() {
	w.t.Helper()
	w.stop(false)
	w.start()
}

// pass lets time pass, and everything that is due happen.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in the bubble
	synctest.Wait()
}

func (w *world) create(r sessions.Request) sessions.Created {
	w.t.Helper()
	if r.Environment == "" {
		r.Environment = "debian"
	}
	if r.Visitor == "" && !r.Admin {
		r.Visitor = "ann"
	}
	c, err := w.m.Create(w.t.Context(), r)
	if err != nil {
		w.t.Fatalf("Create: %v", err)
	}
	return c
}

var operator = sessions.Credential{Admin: true}

func (w *world) get(id sessions.ID) sessions.Session {
	w.t.Helper()
	s, err := w.m.Get(w.t.Context(), operator, id)
	if err != nil {
		w.t.Fatalf("Get: %v", err)
	}
	return s
}

func (w *world) want(id sessions.ID, state sessions.State, reason sessions.Reason) sessions.Session {
	w.t.Helper()
	s := w.get(id)
	if s.State != state || s.Reason != reason {
		w.t.Fatalf("session is %s (%s %q), want %s (%s)", s.State, s.Reason, s.Message, state, reason)
	}
	if state == sessions.Ended && s.Message == "" {
		w.t.Errorf("no sentence says why it ended")
	}
	return s
}

func (w *world) wantError(err, want error) *sessions.Error {
	w.t.Helper()
	var e *sessions.Error
	if !errors.Is(err, want) || !errors.As(err, &e) || e.Message == "" {
		w.t.Fatalf("error %v, want %v with a sentence", err, want)
	}
	return e
}

func (w *world) end(id sessions.ID) {
	w.t.Helper()
	if err := w.m.End(w.t.Context(), operator, id); err != nil {
		w.t.Fatalf("End: %v", err)
	}
}

// watcher collects a session's events until they end.
type watcher struct {
	mu   sync.Mutex
	list []sessions.Event
	stop context.CancelFunc
	done chan struct{}
}

func (w *world) watch(id sessions.ID) *watcher {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	events, err := w.m.Events(ctx, operator, id)
	if err != nil {
		w.t.Fatalf("Events: %v", err)
	}
	r := &watcher{stop: cancel, done: make(chan struct{})}
	w.t.Cleanup(cancel)
	go func() {
		defer close(r.done)
		for e := range events {
			r.mu.Lock()
			r.list = append(r.list, e)
			r.mu.Unlock()
		}
	}()
	return r
}

// events returns what was told so far.
func (r *watcher) events() []sessions.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// notices returns what was told so far of some kinds; call it when nothing moves.
func (r *watcher) notices(kinds ...string) []string {
	var list []string
	for _, e := range r.events() {
		if e.Type == sessions.EventNotice && slices.Contains(kinds, e.Notice.Kind) {
			list = append(list, e.Notice.Message)
		}
	}
	return list
}

func (r *watcher) states() []sessions.State {
	var list []sessions.State
	for _, e := range r.events() {
		if e.Type == sessions.EventSession {
			list = append(list, e.Session.State)
		}
	}
	return slices.Compact(list)
}
