package sessions_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"berth/sessions"
)

// TestInvariants does what visitors, operators, sandboxes and a bad host do, in random order, and checks at each step
// what must always hold.
func TestInvariants(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := &chaos{world: w, rand: rand.New(rand.NewPCG(seed, 1)), states: make(map[sessions.ID]sessions.State)}
				c.run(t)
			})
		})
	}
}

const chaosMost = 4

type chaos struct {
	*world
	rand   *rand.Rand
	states map[sessions.ID]sessions.State // as of the last look
	ids    []sessions.ID
}

func (c *chaos) run(t *testing.T) {
	c.cfg.Environments = []sessions.Environment{
		environment("debian", pooled(2), func(e *sessions.Environment) { e.IdleTimeout = 2 * time.Minute }),
		environment("busybox", pooled(1), func(e *sessions.Environment) { e.Lifetime = time.Minute }),
	}
	c.cfg.Limits = sessions.Admission{MaxSessions: chaosMost, QueueLength: 6, PerVisitor: 3}
	c.cfg.LaunchTimeout = 5 * time.Second
	c.start()
	for range 300 {
		c.step(t)
		c.pass(time.Duration(c.rand.Int64N(int64(3 * time.Second))))
		c.check(t)
		if t.Failed() {
			return
		}
	}
	c.store.Fail(nil)
	c.launcher.FailClose(0, nil)
	c.stop(true)
	c.checkClosed(t)
	if n := len(c.store.Ledger()); n != len(c.ids) {
		t.Errorf("%d sessions, %d rows in the ledger", len(c.ids), n)
	}
}

func (c *chaos) step(t *testing.T) {
	switch n := c.rand.IntN(100); {
	case n < 45:
		c.tryCreate(t)
	case n < 60:
		c.each(func(id sessions.ID) error { return c.m.End(t.Context(), operator, id) })
	case n < 68:
		c.each(func(id sessions.ID) error { _, err := c.m.Extend(t.Context(), operator, id); return err })
	case n < 78:
		if ids := c.launcher.Running(); len(ids) > 0 {
			c.launcher.Crash(ids[c.rand.IntN(len(ids))], sessions.Exit{Reason: sessions.Crashed})
		}
	case n < 82:
		c.launcher.FailLaunch(c.rand.IntN(3), errors.New("cannot launch"))
	case n < 86:
		c.launcher.FailClose(c.rand.IntN(4), errors.New("cannot close"))
	case n < 88:
		c.launcher.HangLaunch(1)
	case n < 91:
		c.store.Fail(errors.New("disk full"))
		c.tryCreate(t)
		c.pass(time.Second)
		c.store.Fail(nil)
		c.pass(5 * time.Second) // what could not be kept is tried again
	case n < 94:
		c.skew.Add(int64(time.Duration(c.rand.IntN(7200)-3600) * time.Second))
	default:
		c.restart()
	}
}

func (c *chaos) tryCreate(t *testing.T) {
	s, err := c.m.Create(t.Context(), sessions.Request{
		Environment: []string{"debian", "busybox"}[c.rand.IntN(2)], Visitor: fmt.Sprint("v", c.rand.IntN(6)), Admin: c.rand.IntN(10) == 0,
	})
	var e *sessions.Error
	switch {
	case err == nil:
		c.ids = append(c.ids, s.ID)
		c.states[s.ID] = s.State
	case !errors.As(err, &e) || e.Message == "":
		t.Errorf("Create: %v", err)
	}
}

// each does f to a random session, whatever state it is in.
func (c *chaos) each(f func(sessions.ID) error) {
	if len(c.ids) == 0 {
		return
	}
	id := c.ids[len(c.ids)-1-c.rand.IntN(min(len(c.ids), 8))]
	if err := f(id); err != nil {
		var e *sessions.Error
		if !errors.As(err, &e) {
			c.t.Errorf("%s: %v", id, err)
		}
	}
}

var order = []sessions.State{sessions.Queued, sessions.Starting, sessions.Ready, sessions.Ending, sessions.Ended}

func (c *chaos) check(t *testing.T) {
	if n := c.launcher.Most(); n > chaosMost {
		t.Errorf("%d sandboxes at once, %d are the most", n, chaosMost)
	}
	var places []int
	for _, id := range c.ids {
		s, err := c.m.Get(t.Context(), operator, id)
		if err != nil {
			t.Errorf("Get: %v", err)
			continue
		}
		if slices.Index(order, s.State) < slices.Index(order, c.states[id]) {
			t.Errorf("%s went from %s back to %s", id, c.states[id], s.State)
		}
		c.states[id] = s.State
		if s.State == sessions.Queued {
			places = append(places, s.QueuePosition)
		}
		kept, err := c.store.Get(t.Context(), id)
		if err != nil || kept.Session.State != s.State {
			t.Errorf("told %s, kept %s (%v)", s.State, kept.Session.State, err)
		}
	}
	slices.Sort(places)
	for i, p := range places {
		if p != i+1 {
			t.Errorf("places in the queue: %v", places)
			break
		}
	}
	c.checkClosed(t)
}

// checkClosed checks that every sandbox that was launched runs or was closed once, as often as it was launched.
func (c *chaos) checkClosed(t *testing.T) {
	counts, running := c.launcher.Counts(), c.launcher.Running()
	for id, n := range counts.Launched {
		lives := 0
		if slices.Contains(running, id) {
			lives = 1
		}
		if counts.Closed[id]+lives != n {
			t.Errorf("%s: launched %d times, closed %d times, running: %d", id, n, counts.Closed[id], lives)
		}
		owned := slices.Contains(c.ids, id)
		if lives == 1 && owned && c.states[id] == sessions.Ended {
			t.Errorf("%s has ended and its sandbox runs", id)
		}
		if c.m == nil && lives == 1 {
			t.Errorf("%s was left running", id)
		}
	}
}
