package sessions

import (
	"fmt"
	"time"
)

// clock keeps the time of one session. What was granted is a duration, and runs on the monotonic clock: setting the
// time of day neither ends a session nor lengthens it, and nor does suspending the host. It is used under hold.mu.
type clock struct {
	deadline  time.Time     // monotonic; zero: not ready yet
	warned    time.Duration // the last notice was for this much left; 0: none since the deadline moved
	uses      int           // connections and listeners
	idleSince time.Time     // monotonic; only while uses is 0
}

// follow takes the deadline over from a record. now and mono are one moment, as time of day and monotonic.
func (c *clock) follow(r Record, now, mono time.Time) {
	if r.Session.State != Ready {
		return
	}
	if c.deadline.IsZero() {
		c.idleSince = mono
	}
	// Between two servers only the wall clock goes on. Should it have been set back, nobody gets more than was granted.
	left := min(r.Session.ExpiresAt.Sub(now), r.Lifetime)
	c.deadline = mono.Add(left)
	if left > c.warned {
		c.warned = 0
	}
}

func (c *clock) begin() { c.uses++ }

func (c *clock) end() {
	c.uses--
	if c.uses == 0 {
		c.idleSince = time.Now()
	}
}

// look says what is to be done now: the end to be brought about, the notice to be given, or when to look again.
func (c *clock) look(r Record) (end *End, notice *Notice, next time.Duration) {
	if c.deadline.IsZero() {
		return nil, nil, time.Hour
	}
	left := time.Until(c.deadline)
	if left <= 0 {
		return endExpired(r), nil, 0
	}
	next = left
	if r.IdleTimeout > 0 && c.uses == 0 {
		patience := r.IdleTimeout - time.Since(c.idleSince)
		if patience <= 0 {
			return endIdle(r), nil, 0
		}
		next = min(next, patience)
	}
	for _, at := range warnings(r.Lifetime) {
		if left > at {
			next = min(next, left-at)
			break
		}
		if c.warned == 0 || at < c.warned {
			// The shortest that is due speaks for the longer ones.
			notice = expiring(r, left)
			c.warned = at
		}
	}
	return nil, notice, next
}

// warnings are the times left at which a visitor is told, the longest first: 5 min and 1 min, and a quarter of the
// life of what does not live for 4 min.
func warnings(lifetime time.Duration) []time.Duration {
	var w []time.Duration
	for _, at := range []time.Duration{5 * time.Minute, time.Minute} {
		if at < lifetime {
			w = append(w, at)
		}
	}
	if lifetime < 4*time.Minute {
		w = append(w, lifetime/4)
	}
	return w
}

func expiring(r Record, left time.Duration) *Notice {
	in := inWords(left)
	if !r.Session.ExpiresAt.Before(r.Session.MaxExpiresAt) {
		return &Notice{Kind: "expiring", Message: fmt.Sprintf(
			"This session ends in %s and cannot be extended any more: save what you need now.", in)}
	}
	return &Notice{Kind: "expiring", Message: fmt.Sprintf(
		"This session ends in %s: extend it to go on, or save what you need.", in)}
}

func endExpired(r Record) *End {
	return &End{Reason: Expired, Message: fmt.Sprintf(
		"The time of this session was up (%s). Start a new one to go on.", inWords(r.Session.ExpiresAt.Sub(r.Session.ReadyAt)))}
}

func endIdle(r Record) *End {
	return &End{Reason: Idle, Message: fmt.Sprintf(
		"Nobody was connected for %s, so the session was ended. Start a new one to go on.", inWords(r.IdleTimeout))}
}

// inWords writes a duration as a person says it: "20 seconds", "5 minutes", "3 hours".
func inWords(d time.Duration) string {
	count := func(n int64, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 120 && s%60 != 0 || s == 0:
		return count(s, "second")
	case s < 2*3600 && s != 3600:
		return count((s+30)/60, "minute")
	case s%3600 == 0:
		return count(s/3600, "hour")
	default:
		return count(s/3600, "hour") + " " + count(s%3600/60, "minute")
	}
}
