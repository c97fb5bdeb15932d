package sessions_test

import (
	"bytes"
	"testing"
	"time"

	"berth/sessions"
)

func TestOnlyTheOwnerReachesASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Visitor: "ann"})
		other := w.create(sessions.Request{Visitor: "bob"})
		nobody := w.create(sessions.Request{Visitor: "x", Admin: true})
		w.pass(time.Second)
		for name, test := range map[string]struct {
			cred sessions.Credential
			ok   bool
			sees int
		}{
			"cookie":        {sessions.Credential{Visitor: "ann"}, true, 1},
			"token":         {sessions.Credential{Token: c.Token}, true, 1},
			"operator":      {sessions.Credential{Admin: true}, true, 3},
			"nothing":       {sessions.Credential{}, false, 0},
			"other cookie":  {sessions.Credential{Visitor: "bob"}, false, 1},
			"other token":   {sessions.Credential{Token: other.Token}, false, 1},
			"wrong token":   {sessions.Credential{Token: c.Token + "A"}, false, 0},
			"half a cookie": {sessions.Credential{Visitor: "an"}, false, 0},
		} {
			w.reach(t, name, test.cred, c.ID, test.ok)
			list, err := w.m.List(t.Context(), test.cred)
			if err != nil || len(list) != test.sees {
				t.Errorf("%s: sees %d, %v, want %d", name, len(list), err, test.sees)
			}
		}
		for _, id := range []sessions.ID{"", "../../etc/pass", sessions.NewID()} {
			_, err := w.m.Get(t.Context(), operator, id)
			w.wantError(err, sessions.ErrNotFound)
		}
		w.end(c.ID)
		w.pass(time.Second)
		w.reach(t, "token, ended", sessions.Credential{Token: c.Token}, c.ID, true)
		w.reach(t, "cookie, ended", sessions.Credential{Visitor: "ann"}, c.ID, true)
		w.reach(t, "other cookie, ended", sessions.Credential{Visitor: "bob"}, c.ID, false)
		r, err := w.store.Get(t.Context(), nobody.ID)
		if err != nil || bytes.Contains(r.TokenHash, []byte(nobody.Token)) || len(r.TokenHash) != 32 {
			t.Errorf("what the store has of the token: %x, %v", r.TokenHash, err)
		}
	})
}

// reach tries what reads a session; End and Extend look it up in the same place.
func (w *world) reach(t *testing.T, name string, c sessions.Credential, id sessions.ID, ok bool) {
	t.Helper()
	_, err := w.m.Get(t.Context(), c, id)
	events, errEvents := w.m.Events(t.Context(), c, id)
	if ok {
		if err != nil || errEvents != nil {
			t.Errorf("%s: %v, %v", name, err, errEvents)
			return
		}
		if e := <-events; e.Type != sessions.EventSession || e.Session.ID != id {
			t.Errorf("%s: first event %+v", name, e)
		}
		return
	}
	w.wantError(err, sessions.ErrNotFound)
	w.wantError(errEvents, sessions.ErrNotFound)
	_, err = w.m.Extend(t.Context(), c, id)
	w.wantError(err, sessions.ErrNotFound)
	_, err = w.m.Dial(t.Context(), c, id)
	w.wantError(err, sessions.ErrNotFound)
	w.wantError(w.m.End(t.Context(), c, id), sessions.ErrNotFound)
}

func TestEndSaysWhoDidIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		for _, test := range []struct {
			cred sessions.Credential
			want sessions.Reason
		}{
			{sessions.Credential{Visitor: "ann"}, sessions.Closed},
			{sessions.Credential{Visitor: "ann", Admin: true}, sessions.Closed},
			{sessions.Credential{Visitor: "root", Admin: true}, sessions.Admin},
		} {
			c := w.create(sessions.Request{Visitor: "ann"})
			if err := w.m.End(t.Context(), test.cred, c.ID); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Second)
			w.want(c.ID, sessions.Ended, test.want)
		}
	})
}
