package sessionstest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// RunStore runs the suite for stores; fresh makes an empty one for each test.
func RunStore(t *testing.T, fresh func(t *testing.T) sessions.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s sessions.Store)
	}{
		{"KeepsRecords", keepsRecords},
		{"LiveInOrder", liveInOrder},
		{"ForgetsEnded", forgetsEnded},
		{"KeepsPool", keepsPool},
		{"TakesFromPool", takesFromPool},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// SampleRecord is a record with every field set.
func SampleRecord(state sessions.State) sessions.Record {
	limits := quotas.Limits{
		CPUs: 0.5, MemoryBytes: 1 << 30, PIDs: 512, DiskBytes: 4 << 30, DiskInodes: 1 << 18, Bandwidth: 1e8,
		Terminals: 8, Egress: quotas.Egress{Ports: []string{"443"}, ConnectionsPerSecond: 50},
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC)
	return sessions.Record{
		Session: sessions.Session{
			ID: sessions.NewID(), Environment: "debian", State: state, Reason: sessions.Idle, Message: "a 'sentence'",
			Limits: limits, CreatedAt: at, ReadyAt: at.Add(time.Second), ExpiresAt: at.Add(time.Hour), MaxExpiresAt: at.Add(3 * time.Hour),
			EndedAt: at.Add(2 * time.Hour),
		},
		Seq: 7, Visitor: "v", Address: "2001:db8::1", Admin: true, TokenHash: []byte{0, 1, 2},
		Spec:     sessions.Spec{Image: "debian:bookworm", Hostname: "debian", Env: []string{"A=b"}, Shell: []string{"bash"}, Limits: limits},
		Lifetime: 45 * time.Minute, MaxLifetime: 3 * time.Hour, IdleTimeout: 15 * time.Minute,
	}
}

func save(t *testing.T, s sessions.Store, r sessions.Record) {
	t.Helper()
	if err := s.Save(t.Context(), r); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func keepsRecords(t *testing.T, s sessions.Store) {
	r := SampleRecord(sessions.Queued)
	save(t, s, r)
	for _, state := range []sessions.State{sessions.Starting, sessions.Ready, sessions.Ending, sessions.Ended, sessions.Ended} {
		r.Session.State = state
		save(t, s, r)
		got, err := s.Get(t.Context(), r.Session.ID)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("Get: %v\n got %+v\nwant %+v", err, got, r)
		}
	}
	if _, err := s.Get(t.Context(), sessions.NewID()); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func liveInOrder(t *testing.T, s sessions.Store) {
	want := make([]sessions.ID, 20)
	var first sessions.Record
	for i := range 20 {
		r := SampleRecord(sessions.Queued) // all of one moment
		r.Seq = int64((i*7)%20 + 1)
		save(t, s, r)
		if i == 0 {
			first = r
		}
		want[r.Seq-1] = r.Session.ID
	}
	save(t, s, SampleRecord(sessions.Ended))
	first.Session.State = sessions.Starting
	save(t, s, first)
	live, err := s.Live(t.Context())
	if err != nil || len(live) != len(want) {
		t.Fatalf("Live: %d records, %v, want %d", len(live), err, len(want))
	}
	for i, r := range live {
		if r.Session.ID != want[i] {
			t.Fatalf("record %d is not the one that came then", i)
		}
	}
}

func forgetsEnded(t *testing.T, s sessions.Store) {
	old, recent, live := SampleRecord(sessions.Ended), SampleRecord(sessions.Ended), SampleRecord(sessions.Ready)
	recent.Session.EndedAt = old.Session.EndedAt.Add(time.Hour)
	for _, r := range []sessions.Record{old, recent, live} {
		save(t, s, r)
	}
	n, err := s.Forget(t.Context(), recent.Session.EndedAt)
	if err != nil || n != 1 {
		t.Errorf("Forget: %d, %v, want 1", n, err)
	}
	for r, want := range map[*sessions.Record]error{&old: sessions.ErrNotFound, &recent: nil, &live: nil} {
		if _, err := s.Get(t.Context(), r.Session.ID); !errors.Is(err, want) {
			t.Errorf("Get of %s: %v, want %v", r.Session.State, err, want)
		}
	}
}

func keepsPool(t *testing.T, s sessions.Store) {
	w := sessions.Warm{
		ID: sessions.NewID(), Environment: "debian", Spec: SampleRecord(sessions.Ready).Spec,
		CreatedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
	if err := s.SaveWarm(t.Context(), w); err != nil {
		t.Fatalf("SaveWarm: %v", err)
	}
	got, err := s.Warm(t.Context())
	if err != nil || !reflect.DeepEqual(got, []sessions.Warm{w}) {
		t.Errorf("Warm: %+v, %v", got, err)
	}
	for range 2 {
		if err := s.DeleteWarm(t.Context(), w.ID); err != nil {
			t.Errorf("DeleteWarm: %v", err)
		}
	}
	if got, err := s.Warm(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("Warm after DeleteWarm: %+v, %v", got, err)
	}
}

func takesFromPool(t *testing.T, s sessions.Store) {
	r := SampleRecord(sessions.Ready)
	if err := s.SaveWarm(t.Context(), sessions.Warm{ID: r.Session.ID, Environment: "debian", Spec: r.Spec}); err != nil {
		t.Fatalf("SaveWarm: %v", err)
	}
	save(t, s, r)
	if got, err := s.Warm(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("the pool still has what a session took: %+v, %v", got, err)
	}
}
