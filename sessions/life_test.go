package sessions_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"berth/sessions"
)

func TestLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Visitor: "ann", Address: "192.0.2.1"})
		if c.State != sessions.Starting || len(c.Token) < 22 || !c.ID.Valid() {
			t.Fatalf("created %+v", c)
		}
		r := w.watch(c.ID)
		w.pass(time.Second)
		s := w.want(c.ID, sessions.Ready, "")
		if s.ExpiresAt.Sub(s.ReadyAt) != 45*time.Minute || s.MaxExpiresAt.Sub(s.ReadyAt) != 3*time.Hour {
			t.Errorf("times: %+v", s)
		}
		if body := w.ask(c.ID); !strings.Contains(body, `"ready":true`) {
			t.Errorf("the sandbox says %s", body)
		}
		if err := w.m.End(t.Context(), sessions.Credential{Token: c.Token}, c.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.get(c.ID).State; got != sessions.Ending {
			t.Errorf("after End: %s", got)
		}
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Closed)
		<-r.done
		want := []sessions.State{sessions.Starting, sessions.Ready, sessions.Ending, sessions.Ended}
		if !slices.Equal(r.states(), want) {
			t.Errorf("told %v, want %v", r.states(), want)
		}
		if err := w.m.End(t.Context(), operator, c.ID); err != nil {
			t.Errorf("End again: %v", err)
		}
		ledger := w.store.Ledger()
		if len(ledger) != 1 || ledger[0].Reason != sessions.Closed || ledger[0].Address != "192.0.2.1" || ledger[0].Visitor != "ann" {
			t.Errorf("ledger: %+v", ledger)
		}
		if left := w.launcher.Running(); len(left) != 0 {
			t.Errorf("sandboxes left: %v", left)
		}
	})
}

// ask returns what the sandbox answers at /v1/info.
func (w *world) ask(id sessions.ID) string {
	w.t.Helper()
	conn, err := w.m.Dial(w.t.Context(), operator, id)
	if err != nil {
		w.t.Fatalf("Dial: %v", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /v1/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		w.t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func TestEndedByItself(t *testing.T) {
	for _, reason := range []sessions.Reason{sessions.Crashed, sessions.OutOfMemory, sessions.DiskFull, sessions.Closed} {
		inWorld(t, func(t *testing.T, w *world) {
			w.start()
			c := w.create(sessions.Request{})
			w.pass(time.Second)
			conn, err := w.m.Dial(t.Context(), operator, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			w.launcher.Crash(c.ID, sessions.Exit{Reason: reason})
			w.pass(time.Second)
			w.want(c.ID, sessions.Ended, reason)
			if n := w.launcher.Counts().Closed[c.ID]; n != 1 {
				t.Errorf("closed %d times", n)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still open")
			}
			_ = conn.Close()
		})
	}
}

func TestLaunchFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.launcher.FailLaunch(3, errors.New("no loop device"))
		for range 3 {
			c := w.create(sessions.Request{})
			w.pass(time.Second)
			s := w.want(c.ID, sessions.Ended, sessions.Crashed)
			if strings.Contains(s.Message, "loop") {
				t.Errorf("the visitor is told the operator's details: %s", s.Message)
			}
		}
		if err := w.m.Status(t.Context()).Err; err == nil || !strings.Contains(err.Error(), "no loop device") {
			t.Errorf("three failed launches: status %v", err)
		}
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.want(c.ID, sessions.Ready, "")
		if err := w.m.Status(t.Context()).Err; err != nil {
			t.Errorf("after a launch that worked: %v", err)
		}
	})
}

func TestLaunchHangs(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.cfg.LaunchTimeout = 10 * time.Second
		w.start()
		w.launcher.HangLaunch(2)
		late, early := w.create(sessions.Request{}), w.create(sessions.Request{})
		w.pass(5 * time.Second)
		w.end(early.ID)
		w.pass(time.Second)
		w.want(early.ID, sessions.Ended, sessions.Admin)
		w.want(late.ID, sessions.Starting, "")
		w.pass(5 * time.Second)
		w.want(late.ID, sessions.Ended, sessions.Crashed)
	})
}

func TestCloseIsTriedAgainAndRoomNotHandedOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cfg.Limits.MaxSessions, w.cfg.Limits.PerVisitor = 1, 1
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.launcher.FailClose(4, errors.New("device busy")) // tried after 0, 1, 3, 7, 15 s
		w.end(c.ID)
		next := w.create(sessions.Request{Visitor: "bob"})
		w.pass(14 * time.Second)
		w.want(c.ID, sessions.Ending, sessions.Admin)
		w.want(next.ID, sessions.Queued, "")
		if _, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian", Visitor: "ann"}); !errors.Is(err, sessions.ErrTooMany) {
			t.Errorf("the quota was handed on: %v", err)
		}
		w.pass(3 * time.Second)
		w.want(c.ID, sessions.Ended, sessions.Admin)
		w.want(next.ID, sessions.Ready, "")
		if most := w.launcher.Most(); most != 1 {
			t.Errorf("%d sandboxes at once", most)
		}
	})
}

func TestEndedStaysReadableForADay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.end(c.ID)
		w.pass(24*time.Hour - time.Minute)
		w.want(c.ID, sessions.Ended, sessions.Admin)
		w.pass(2 * time.Minute)
		_, err := w.m.Get(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrNotFound)
		w.pass(10 * time.Minute)
		if _, err := w.store.Get(t.Context(), c.ID); !errors.Is(err, sessions.ErrNotFound) {
			t.Errorf("the store still has it: %v", err)
		}
		if len(w.store.Ledger()) != 1 {
			t.Error("the ledger lost its row")
		}
	})
}

func TestStoreFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.store.Fail(errors.New("disk full"))
		_, err := w.m.Create(t.Context(), sessions.Request{Environment: "debian", Visitor: "bob"})
		w.wantError(err, sessions.ErrUnavailable)
		if w.m.Status(t.Context()).Err == nil {
			t.Error("status is fine, and nothing can be recorded")
		}
		if err := w.m.End(t.Context(), operator, c.ID); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(c.ID, sessions.Ready, "") // nothing is told that is not kept
		if left := w.launcher.Running(); len(left) != 0 {
			t.Errorf("sandboxes left: %v", left)
		}
		w.store.Fail(nil)
		w.pass(time.Minute)
		w.want(c.ID, sessions.Ended, sessions.Admin)
		if s := w.m.Status(t.Context()); s.Err != nil || s.Sessions != 0 {
			t.Errorf("status: %+v", s)
		}
	})
}

func (w *world) dialer(id sessions.ID) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return w.m.Dial(ctx, operator, id) }
}

func TestDial(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		_, err := w.m.Dial(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrNotReady)
		w.pass(time.Second)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: w.dialer(c.ID)}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://sandbox/v1/files/a", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatalf("PUT: %v", err)
		}
		_ = res.Body.Close()
		w.end(c.ID)
		_, err = w.m.Dial(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrEnded)
		w.pass(time.Second)
		_, err = w.m.Dial(t.Context(), operator, c.ID)
		w.wantError(err, sessions.ErrEnded)
		synctest.Wait()
	})
}
