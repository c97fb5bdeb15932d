package sessions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"berth/sessions"
)

func TestShortSessionIsWarnedAndExpires(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Lifetime: 20 * time.Second})
		r := w.watch(c.ID)
		w.pass(100 * time.Millisecond) // the launch
		w.pass(14*time.Second + 999*time.Millisecond)
		if n := r.notices("expiring"); len(n) != 0 {
			t.Errorf("warned too early: %q", n)
		}
		w.pass(2 * time.Millisecond)
		if n := r.notices("expiring"); len(n) != 1 || !strings.Contains(n[0], "5 seconds") || !strings.Contains(n[0], "extend") {
			t.Errorf("warned: %q", n)
		}
		w.pass(4990 * time.Millisecond)
		w.want(c.ID, sessions.Ready, "")
		w.pass(100 * time.Millisecond)
		w.want(c.ID, sessions.Ended, sessions.Expired)
		<-r.done
	})
}

func TestWarnedAtFiveMinutesAndOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		r := w.watch(c.ID)
		w.pass(40*time.Minute + 200*time.Millisecond)
		w.pass(4 * time.Minute)
		if n := r.notices("expiring"); len(n) != 2 || !strings.Contains(n[0], "5 minutes") || !strings.Contains(n[1], "1 minute") {
			t.Errorf("warned: %q", n)
		}
		w.pass(time.Minute + time.Second)
		w.want(c.ID, sessions.Ended, sessions.Expired)
	})
}

func TestExtend(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments[0].MaxLifetime = 60 * time.Minute
		w.start()
		c := w.create(sessions.Request{})
		_, err := w.m.Extend(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrNotReady)
		r := w.watch(c.ID)
		w.pass(100 * time.Millisecond)
		w.pass(10 * time.Minute)
		s, err := w.m.Extend(t.Context(), sessions.Credential{Visitor: "ann"}, c.ID)
		if err != nil || s.ExpiresAt.Sub(s.ReadyAt) != 55*time.Minute {
			t.Fatalf("Extend: %v, expires after %s", err, s.ExpiresAt.Sub(s.ReadyAt))
		}
		w.pass(41 * time.Minute) // 51 min: warned at 50
		if n := r.notices("expiring"); len(n) != 1 || !strings.Contains(n[0], "extend it") {
			t.Errorf("warned: %q", n)
		}
		s, err = w.m.Extend(t.Context(), operator, c.ID)
		if err != nil || !s.ExpiresAt.Equal(s.MaxExpiresAt) {
			t.Fatalf("Extend to the most: %v, %s of %s", err, s.ExpiresAt, s.MaxExpiresAt)
		}
		_, err = w.m.Extend(t.Context(), operator, c.ID)
		if e := w.wantError(err, sessions.ErrCannotExtend); !strings.Contains(e.Message, "9 minutes") {
			t.Errorf("message: %s", e.Message)
		}
		w.pass(5 * time.Minute)
		if n := r.notices("expiring"); len(n) != 2 || !strings.Contains(n[1], "cannot be extended") {
			t.Errorf("warned: %q", n)
		}
		w.pass(3*time.Minute + 50*time.Second)
		w.want(c.ID, sessions.Ready, "")
		w.pass(11 * time.Second)
		w.want(c.ID, sessions.Ended, sessions.Expired)
		_, err = w.m.Extend(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrEnded)
	})
}

func TestIdle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Environments[0].IdleTimeout = 15 * time.Minute
		w.cfg.Limits.PerVisitor = 10
		w.start()
		unused, dialed, watched := w.create(sessions.Request{}), w.create(sessions.Request{}), w.create(sessions.Request{})
		w.pass(100 * time.Millisecond)
		conn, err := w.m.Dial(t.Context(), operator, dialed.ID)
		if err != nil {
			t.Fatal(err)
		}
		r := w.watch(watched.ID)
		w.pass(15*time.Minute - time.Second)
		w.want(unused.ID, sessions.Ready, "")
		w.pass(2 * time.Second)
		w.want(unused.ID, sessions.Ended, sessions.Idle)
		w.pass(5 * time.Minute)
		w.want(dialed.ID, sessions.Ready, "")
		w.want(watched.ID, sessions.Ready, "")
		_, _ = conn.Close(), conn.Close() // counted once
		r.stop()
		w.pass(14 * time.Minute)
		w.want(dialed.ID, sessions.Ready, "")
		w.pass(2 * time.Minute)
		w.want(dialed.ID, sessions.Ended, sessions.Idle)
		w.want(watched.ID, sessions.Ended, sessions.Idle)
	})
}

// The time that was granted is a duration: whoever sets the clock changes the times told, and not how long it lasts.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour, 90 * time.Second, -30 * time.Second} {
		inWorld(t, func(t *testing.T, w *world) {
			w.start()
			c := w.create(sessions.Request{Lifetime: 10 * time.Minute})
			w.pass(100 * time.Millisecond)
			before := w.get(c.ID)
			r := w.watch(c.ID)
			w.pass(time.Minute)
			w.skew.Add(int64(jump))
			w.pass(3 * time.Second)
			after := w.want(c.ID, sessions.Ready, "")
			if moved := after.ExpiresAt.Sub(before.ExpiresAt); (moved - jump).Abs() > time.Second {
				t.Errorf("after a jump of %s the expiry told moved by %s", jump, moved)
			}
			if got, err := w.store.Get(t.Context(), c.ID); err != nil || !got.Session.ExpiresAt.Equal(after.ExpiresAt) {
				t.Errorf("kept %s, told %s (%v)", got.Session.ExpiresAt, after.ExpiresAt, err)
			}
			w.pass(8*time.Minute + 55*time.Second)
			w.want(c.ID, sessions.Ready, "")
			if n := r.notices("expiring"); len(n) != 2 {
				t.Errorf("warned: %q", n)
			}
			w.pass(3 * time.Second)
			w.want(c.ID, sessions.Ended, sessions.Expired)
		})
	}
}

func TestExtendRightAfterClockJump(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Lifetime: 10 * time.Minute})
		w.pass(time.Minute + 100*time.Millisecond)
		w.skew.Add(int64(time.Hour))
		if _, err := w.m.Extend(t.Context(), operator, c.ID); err != nil { // before the jump was noticed
			t.Fatal(err)
		}
		w.pass(5 * time.Second)
		wall := time.Now().Add(time.Hour)
		if left := w.get(c.ID).ExpiresAt.Sub(wall); (left - 10*time.Minute + 5*time.Second).Abs() > time.Second {
			t.Errorf("told that %s are left", left)
		}
		w.pass(9*time.Minute + 50*time.Second)
		w.want(c.ID, sessions.Ready, "")
		w.pass(6 * time.Second)
		w.want(c.ID, sessions.Ended, sessions.Expired)
	})
}

func TestLifetimeRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		for lifetime, want := range map[time.Duration]string{-time.Second: "more than 0", 3*time.Hour + 1: "3 hours", 1 << 62: "3 hours"} {
			_, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian", Lifetime: lifetime})
			if e := w.wantError(err, sessions.ErrInvalid); !strings.Contains(e.Message, want) {
				t.Errorf("%s: %s", lifetime, e.Message)
			}
		}
		_, err := w.m.Create(t.Context(), sessions.Request{Environment: "windows"})
		w.wantError(err, sessions.ErrUnknownEnvironment)
		if ids := w.launcher.Running(); !slices.Equal(ids, nil) {
			t.Errorf("launched: %v", ids)
		}
	})
}
