package sessions_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"berth/sessions"
	"berth/sessions/sessionstest"
)

func TestRestartKeepsSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions = 2
		w.start()
		ready := w.create(sessions.Request{Visitor: "a"})
		w.pass(time.Second)
		w.launcher.LaunchTime = time.Minute
		starting := w.create(sessions.Request{Visitor: "b"})
		queued := w.create(sessions.Request{Visitor: "c"})
		w.pass(time.Second)
		before := w.get(ready.ID)
		r := w.watch(ready.ID)
		w.stop(false)
		<-r.done
		w.launcher.LaunchTime = time.Second
		w.pass(10 * time.Minute)
		w.start()
		w.pass(5 * time.Second)
		if after := w.want(ready.ID, sessions.Ready, ""); !after.ExpiresAt.Equal(before.ExpiresAt) {
			t.Errorf("expires %s, before %s", after.ExpiresAt, before.ExpiresAt)
		}
		w.want(starting.ID, sessions.Ready, "")
		if s := w.want(queued.ID, sessions.Queued, ""); s.QueuePosition != 1 {
			t.Errorf("place %d", s.QueuePosition)
		}
		if n := w.launcher.Counts().Launched[ready.ID]; n != 1 {
			t.Errorf("launched %d times", n)
		}
		if _, err := w.m.Get(t.Context(), sessions.Credential{Token: ready.Token}, ready.ID); err != nil {
			t.Errorf("the token: %v", err)
		}
		w.pass(time.Until(before.ExpiresAt) - 100*time.Millisecond)
		w.want(ready.ID, sessions.Ready, "")
		w.pass(200 * time.Millisecond)
		w.want(ready.ID, sessions.Ended, sessions.Expired)
		w.pass(2 * time.Second)
		w.want(queued.ID, sessions.Ready, "")
	})
}

// A server that is killed leaves records and sandboxes in any combination.
func TestConvergesAfterKill(t *testing.T) {
	for _, state := range []sessions.State{sessions.Queued, sessions.Starting, sessions.Ready, sessions.Ending} {
		for _, runs := range []bool{true, false} {
			name := string(state)
			if runs {
				name += ", sandbox runs"
			}
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) { converges(t, w, state, runs) })
			})
		}
	}
}

func converges(t *testing.T, w *world, state sessions.State, runs bool) {
	r := sessionstest.SampleRecord(state)
	s := &r.Session
	s.Reason, s.Message, s.EndedAt = "", "", time.Time{}
	s.CreatedAt, s.ReadyAt = time.Now(), time.Now()
	s.ExpiresAt, s.MaxExpiresAt = s.ReadyAt.Add(time.Hour), s.ReadyAt.Add(2*time.Hour)
	if state == sessions.Ending {
		s.Reason, s.Message = sessions.Idle, "Nobody was connected."
	}
	if err := w.store.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	stray := sessions.NewID()
	if _, err := w.launcher.Launch(t.Context(), stray, r.Spec); err != nil {
		t.Fatal(err)
	}
	if runs {
		if _, err := w.launcher.Launch(t.Context(), s.ID, r.Spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.SaveWarm(t.Context(), sessions.Warm{ID: sessions.NewID(), Environment: "debian"}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.pass(time.Second)
	switch {
	case state == sessions.Ending:
		w.want(s.ID, sessions.Ended, sessions.Idle)
	case state == sessions.Ready && !runs:
		w.want(s.ID, sessions.Ended, sessions.Crashed)
	default:
		w.want(s.ID, sessions.Ready, "")
		_ = w.ask(s.ID)
	}
	if n := w.launcher.Counts().Closed[stray]; n != 1 {
		t.Errorf("a sandbox that nobody owns was closed %d times", n)
	}
	if warm, err := w.store.Warm(t.Context()); err != nil || len(warm) != 0 {
		t.Errorf("the pool has %d sandboxes that are gone", len(warm))
	}
	w.stop(true)
	if left := w.launcher.Running(); len(left) != 0 {
		t.Errorf("sandboxes left: %v", left)
	}
}

func TestExpiredWhileServerWasAway(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Lifetime: time.Minute})
		w.pass(time.Second)
		w.stop(false)
		w.pass(2 * time.Minute)
		w.start()
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Expired)
	})
}

func TestSandboxThatCannotBeFoundIsReclaimed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.stop(false)
		w.launcher.FailFind(errors.New("state.json: unexpected end"))
		w.start()
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Crashed)
		if n := w.launcher.Counts().Closed[c.ID]; n != 1 {
			t.Errorf("closed %d times", n)
		}
	})
}

func TestCloseWithEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(2))}
		w.cfg.Limits.MaxSessions = 3
		w.start()
		w.pass(3 * time.Second)
		var ids []sessions.ID
		for _, v := range []string{"a", "b", "c", "d"} {
			ids = append(ids, w.create(sessions.Request{Visitor: v}).ID)
		}
		w.launcher.FailClose(2, errors.New("busy"))
		m := w.m
		w.stop(true)
		if left := w.launcher.Running(); len(left) != 0 {
			t.Errorf("sandboxes left: %v", left)
		}
		for _, id := range ids {
			if s, err := m.Get(t.Context(), operator, id); err != nil || s.State != sessions.Ended || s.Reason != sessions.Admin {
				t.Errorf("%+v, %v", s, err)
			}
		}
		_, err := m.Create(t.Context(), sessions.Request{Environment: "debian"})
		w.wantError(err, sessions.ErrUnavailable)
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.launcher.FailClose(1000, errors.New("busy"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.m.Close(ctx, true); err == nil {
			t.Error("Close returned without an error, and a sandbox is left")
		}
		w.launcher.FailClose(0, nil)
		w.m = nil
		w.pass(time.Minute)
		w.start()
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Admin)
	})
}

func TestRoomOfWhatCannotBeSweptIsNotHandedOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions = 1
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.stop(false)
		w.launcher.Crash(c.ID, sessions.Exit{Reason: sessions.Crashed})
		w.launcher.FailClose(4, errors.New("busy"))
		w.start()
		next := w.create(sessions.Request{Visitor: "bob"})
		w.pass(time.Second)
		w.want(c.ID, sessions.Ending, sessions.Crashed)
		w.want(next.ID, sessions.Queued, "")
		w.pass(time.Minute)
		w.want(c.ID, sessions.Ended, sessions.Crashed)
		w.want(next.ID, sessions.Ready, "")
		if n := w.launcher.Counts().Closed[c.ID]; n != 1 || w.launcher.Most() != 1 {
			t.Errorf("closed %d times, %d sandboxes at once", n, w.launcher.Most())
		}
	})
}
