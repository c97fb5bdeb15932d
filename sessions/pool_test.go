package sessions_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"berth/sessions"
)

func pooled(n int) func(*sessions.Environment) {
	return func(e *sessions.Environment) { e.Pool = n }
}

func TestPoolAnswersAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(2))}
		w.start()
		w.pass(5 * time.Second)
		warm := w.launcher.Running()
		if len(warm) != 2 || w.m.Status(t.Context()).Pool["debian"] != 2 {
			t.Fatalf("pool: %v", warm)
		}
		writes, now := w.store.Writes(), time.Now()
		c := w.create(sessions.Request{})
		if c.State != sessions.Ready || c.ExpiresAt.IsZero() || !slices.Contains(warm, c.ID) {
			t.Errorf("created %+v, the pool had %v", c.Session, warm)
		}
		if n := w.store.Writes() - writes; n != 1 || time.Since(now) != 0 {
			t.Errorf("%d writes and %s before the answer", n, time.Since(now))
		}
		_ = w.ask(c.ID)
		w.pass(5 * time.Second)
		if n := len(w.launcher.Running()); n != 3 {
			t.Errorf("%d sandboxes, want the session's and 2 in the pool", n)
		}
		w.end(c.ID)
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Admin)
	})
}

func TestPoolIsFilledAtAPace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(10))}
		w.start()
		w.pass(time.Second)
		if n := w.launcher.Counts().Attempts; n < 2 || n > 5 {
			t.Errorf("%d launches for the pool in the first second", n)
		}
		w.pass(10 * time.Second)
		if n := w.launcher.Counts().Attempts; n != 10 {
			t.Errorf("%d launches for the pool", n)
		}
	})
}

func TestPoolMakesRoomForVisitors(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(2)), environment("busybox", pooled(2))}
		w.cfg.Limits = sessions.Admission{MaxSessions: 4, PerVisitor: 9}
		w.start()
		w.pass(5 * time.Second)
		if n := len(w.launcher.Running()); n != 4 {
			t.Fatalf("%d sandboxes in the pools", n)
		}
		if s := w.m.Status(t.Context()); s.Capacity != 4 || s.Sessions != 0 {
			t.Errorf("status: %+v", s)
		}
		var ids []sessions.ID
		for range 4 {
			ids = append(ids, w.create(sessions.Request{Environment: "busybox"}).ID)
		}
		w.pass(5 * time.Second)
		for _, id := range ids {
			w.want(id, sessions.Ready, "")
		}
		s := w.m.Status(t.Context())
		if s.Pool["debian"] != 0 || s.Pool["busybox"] != 0 || w.launcher.Most() != 4 {
			t.Errorf("%+v, at most %d sandboxes at once", s, w.launcher.Most())
		}
		w.end(ids[0])
		w.pass(5 * time.Second)
		if n := len(w.launcher.Running()); n != 4 {
			t.Errorf("%d sandboxes: the pool fills what is free", n)
		}
		if n, err := w.store.Warm(t.Context()); err != nil || len(n) != 1 {
			t.Errorf("the store has %d sandboxes of the pools, want 1", len(n))
		}
	})
}

func TestPoolWaitsWhileVisitorsLaunch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.launcher.LaunchTime = 10 * time.Second
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(0)), environment("busybox", pooled(1))}
		w.launcher.FailLaunch(1, errors.New("once"))
		w.start()
		w.create(sessions.Request{})
		w.pass(9 * time.Second)
		if n := w.launcher.Counts().Attempts; n != 2 { // the pool's that was begun before, and the visitor's
			t.Errorf("%d launches while a visitor waits", n)
		}
		w.pass(15 * time.Second)
		if n := w.m.Status(t.Context()).Pool["busybox"]; n != 1 {
			t.Errorf("%d in the pool", n)
		}
	})
}

func TestPoolReplacesTheDeadWithPatience(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(1))}
		w.start()
		w.pass(2 * time.Second)
		dead := w.launcher.Running()[0]
		w.launcher.FailLaunch(5, errors.New("no image"))
		w.launcher.Crash(dead, sessions.Exit{Reason: sessions.Crashed})
		w.pass(30 * time.Second)
		if n := w.launcher.Counts(); n.Attempts > 7 || n.Attempts < 4 || n.Closed[dead] != 1 {
			t.Errorf("%d launches in 30 s, the dead one was closed %d times", n.Attempts, n.Closed[dead])
		}
		w.pass(2 * time.Minute)
		if ids := w.launcher.Running(); len(ids) != 1 || ids[0] == dead {
			t.Errorf("pool: %v, dead: %s", ids, dead)
		}
	})
}

func TestPoolSurvivesRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(3)), environment("busybox", pooled(1))}
		w.start()
		w.pass(5 * time.Second)
		before := w.launcher.Running()
		w.restart()
		w.pass(5 * time.Second)
		if after := w.launcher.Running(); !slices.Equal(before, after) {
			t.Errorf("pool %v before, %v after", before, after)
		}
		c := w.create(sessions.Request{})
		if c.State != sessions.Ready {
			t.Errorf("created %s", c.State)
		}
		w.stop(false)
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(3), func(e *sessions.Environment) { e.Image = "debian:13" })}
		w.start()
		w.pass(5 * time.Second)
		w.want(c.ID, sessions.Ready, "")
		for _, id := range w.launcher.Running() {
			if id != c.ID && slices.Contains(before, id) {
				t.Errorf("%s is of an environment that has changed or gone", id)
			}
		}
		if n := w.m.Status(t.Context()).Pool["debian"]; n != 3 {
			t.Errorf("%d in the pool", n)
		}
	})
}

func TestPoolAndStoreFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian", pooled(1))}
		w.start()
		w.pass(2 * time.Second)
		warm := w.launcher.Running()[0]
		w.store.Fail(errors.New("disk full"))
		_, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian"})
		w.wantError(err, sessions.ErrUnavailable)
		w.pass(time.Second)
		if slices.Contains(w.launcher.Running(), warm) {
			t.Error("a sandbox that nobody has is still there")
		}
		w.store.Fail(nil)
		w.pass(time.Minute)
		if got := fmt.Sprint(w.m.Status(t.Context()).Pool); got != "map[debian:1]" {
			t.Errorf("pool: %s", got)
		}
	})
}

func TestPoolIsFilledAfterSessionsEndAtAnyMoment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments = []sessions.Environment{environment("debian"), environment("busybox", pooled(2))}
		w.cfg.Limits = sessions.Admission{MaxSessions: 3, PerVisitor: 9}
		w.start()
		for range 50 {
			var ids []sessions.ID
			for range 5 {
				ids = append(ids, w.create(sessions.Request{}).ID)
			}
			for _, id := range ids {
				w.end(id)
			}
			w.pass(time.Second)
		}
		w.pass(10 * time.Second)
		if s := w.m.Status(t.Context()); s.Pool["busybox"] != 2 || s.Sessions+s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}
