package sessions_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth/sessions"
)

func TestQueueShowsPlacesAndMovesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions = 1
		w.start()
		first := w.create(sessions.Request{Visitor: "v0"})
		var waiting []sessions.Created
		for i := range 3 {
			c := w.create(sessions.Request{Visitor: fmt.Sprint("v", i+1)})
			if c.State != sessions.Queued || c.QueuePosition != i+1 || !c.ExpiresAt.IsZero() {
				t.Errorf("created %+v, want place %d", c.Session, i+1)
			}
			waiting = append(waiting, c)
		}
		r := w.watch(waiting[2].ID)
		w.pass(time.Second)
		if err := w.m.End(t.Context(), sessions.Credential{Visitor: "v2"}, waiting[1].ID); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(waiting[1].ID, sessions.Ended, sessions.Closed)
		w.end(first.ID)
		w.pass(time.Second)
		w.want(waiting[0].ID, sessions.Ready, "")
		w.end(waiting[0].ID)
		w.pass(time.Second)
		w.want(waiting[2].ID, sessions.Ready, "")
		var places []int
		for _, e := range r.events() {
			if e.Type == sessions.EventSession && e.Session.State == sessions.Queued {
				places = append(places, e.Session.QueuePosition)
			}
		}
		if fmt.Sprint(places) != "[3 2 1]" {
			t.Errorf("places told: %v", places)
		}
		if n := w.launcher.Counts().Attempts; n != 3 {
			t.Errorf("%d launches, want 3: who left the queue gets none", n)
		}
	})
}

func TestQueueIsFair(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions = 1
		w.cfg.Limits.PerVisitor = 5
		w.start()
		busy := w.create(sessions.Request{Visitor: "other"})
		names := make(map[sessions.ID]string)
		for _, visitor := range []string{"ann", "ann", "ann", "bob", "bob", "cyd"} {
			names[w.create(sessions.Request{Visitor: visitor}).ID] = visitor
		}
		w.pass(time.Second)
		var served []string
		for range names {
			w.end(busy.ID)
			w.pass(time.Second)
			list, err := w.m.List(t.Context(), operator)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				if s.State == sessions.Ready {
					served = append(served, names[s.ID])
					busy.ID = s.ID
				}
			}
		}
		if got := strings.Join(served, " "); got != "ann bob cyd ann bob ann" {
			t.Errorf("served: %s", got)
		}
	})
}

func TestQueueFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions, w.cfg.Limits.QueueLength = 1, 2
		w.start()
		for i := range 3 {
			w.create(sessions.Request{Visitor: fmt.Sprint(i)})
		}
		_, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian", Visitor: "late"})
		if e := w.wantError(err, sessions.ErrQueueFull); e.RetryAfter <= 0 || !strings.Contains(e.Message, "2 sessions are") {
			t.Errorf("%+v", e)
		}
		if s := w.m.Status(t.Context()); s.Queued != 2 || s.Sessions != 1 || s.Capacity != 1 {
			t.Errorf("status: %+v", s)
		}
		if list, err := w.m.List(t.Context(), sessions.Credential{Visitor: "late"}); err != nil || len(list) != 0 {
			t.Errorf("who was refused has %v, %v", list, err)
		}
	})
}

func TestLimitsPerVisitorAndAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.PerVisitor, w.cfg.Limits.PerAddress = 2, 3
		w.start()
		try := func(r sessions.Request) error {
			r.Environment = "debian"
			_, err := w.m.Create(t.Context(), r)
			return err
		}
		first := w.create(sessions.Request{Visitor: "ann", Address: "2001:db8::1"})
		w.create(sessions.Request{Visitor: "ann", Address: "2001:db8::2"})
		err := try(sessions.Request{Visitor: "ann", Address: "192.0.2.1"})
		if e := w.wantError(err, sessions.ErrTooMany); !strings.Contains(e.Message, "2 sessions") || !strings.Contains(e.Message, "end one") {
			t.Errorf("message: %s", e.Message)
		}
		w.create(sessions.Request{Visitor: "bob", Address: "2001:db8::3"})
		err = try(sessions.Request{Visitor: "cyd", Address: "2001:db8::ffff:4"})
		if e := w.wantError(err, sessions.ErrTooMany); !strings.Contains(e.Message, "3 sessions") {
			t.Errorf("message: %s", e.Message)
		}
		for _, ok := range []sessions.Request{{Visitor: "cyd", Address: "2001:db8:0:1::1"}, {Visitor: "ann", Address: "2001:db8::1", Admin: true}} {
			if err := try(ok); err != nil {
				t.Errorf("%+v: %v", ok, err)
			}
		}
		w.pass(time.Second)
		w.end(first.ID)
		w.pass(time.Second)
		if err := try(sessions.Request{Visitor: "ann", Address: "2001:db8::1"}); err != nil {
			t.Errorf("after one has ended: %v", err)
		}
	})
}

func TestCapacityOfTheHost(t *testing.T) {
	for name, test := range map[string]struct {
		host   sessions.Capacity
		limits sessions.Admission
		want   int
	}{
		"memory":           {sessions.Capacity{MemoryBytes: 3 * gib, DiskFree: 1000 * gib}, sessions.Admission{MemoryOvercommit: 1}, 3},
		"memory, promised": {sessions.Capacity{MemoryBytes: 3 * gib, DiskFree: 1000 * gib}, sessions.Admission{MemoryOvercommit: 1.5}, 4},
		"disk":             {sessions.Capacity{MemoryBytes: 100 * gib, DiskFree: 10 * gib}, sessions.Admission{DiskReserve: 2 * gib}, 2},
		"disk, promised":   {sessions.Capacity{MemoryBytes: 100 * gib, DiskFree: 10 * gib}, sessions.Admission{DiskReserve: -1, DiskOvercommit: 2}, 5},
		"configured":       {sessions.Capacity{MemoryBytes: 100 * gib, DiskFree: 1000 * gib}, sessions.Admission{MaxSessions: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.launcher.SetCapacity(test.host)
				w.cfg.Limits = test.limits
				w.start()
				for i := range 6 {
					w.create(sessions.Request{Visitor: fmt.Sprint(i)})
				}
				w.pass(time.Minute)
				if s := w.m.Status(t.Context()); s.PerState[sessions.Ready] != test.want || s.Queued != 6-test.want || s.Capacity != test.want {
					t.Errorf("%+v, want %d ready", s, test.want)
				}
			})
		})
	}
}

func TestNoCapacity(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.launcher.FailCapacity(errors.New("statfs: input/output error"))
		w.start()
		_, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian"})
		w.wantError(err, sessions.ErrUnavailable)
		if err := w.m.Status(t.Context()).Err; err == nil || !strings.Contains(err.Error(), "statfs") {
			t.Errorf("status: %v", err)
		}
		w.launcher.FailCapacity(nil)
		w.launcher.SetCapacity(sessions.Capacity{MemoryBytes: gib, DiskFree: gib})
		w.pass(11 * time.Second)
		_, err = w.m.Create(t.Context(), sessions.Request{Environment: "debian"})
		w.wantError(err, sessions.ErrUnavailable)
		if w.m.Status(t.Context()).Err == nil {
			t.Error("no session fits, and the status is fine")
		}
		w.launcher.SetCapacity(sessions.Capacity{MemoryBytes: gib, DiskFree: 8 * gib})
		w.pass(11 * time.Second)
		w.create(sessions.Request{})
		if err := w.m.Status(t.Context()).Err; err != nil {
			t.Errorf("status: %v", err)
		}
	})
}
