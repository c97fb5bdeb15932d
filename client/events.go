package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"berth/sessions"
)

const (
	// maxEvent bounds one event, in bytes.
	maxEvent = 1 << 20
	// retryEvery and retryFor: a server that is being restarted is back within seconds.
	retryEvery = 250 * time.Millisecond
	retryFor   = 30 * time.Second
)

// Events yields what happens to a session, the session as it is first, until it has ended or ctx ends. The last pair may
// hold an error: of the server, the connection, or ctx.
func (c *Client) Events(ctx context.Context, id sessions.ID) iter.Seq2[sessions.Event, error] {
	return func(yield func(sessions.Event, error) bool) {
		answer, err := c.open(ctx, http.MethodGet, c.url("sessions", string(id), "events"), nil, "text/event-stream")
		if err != nil {
			yield(sessions.Event{}, err)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, maxEvent)
		for lines.Scan() {
			text, found := bytes.CutPrefix(lines.Bytes(), []byte("data:")) // one line each: the server writes JSON
			if !found {
				continue
			}
			var e sessions.Event
			if err := json.Unmarshal(text, &e); err != nil {
				yield(sessions.Event{}, fmt.Errorf("read event: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(sessions.Event{}, fmt.Errorf("read events: %w", err))
		}
	}
}

// EndedError says that a session has ended before it was ready, and why.
type EndedError struct{ Session sessions.Session }

func (e *EndedError) Error() string {
	if e.Session.Message != "" {
		return e.Session.Message
	}
	return fmt.Sprintf("the session has ended: %s", e.Session.Reason)
}

// WaitReady returns when the session is ready. changed, which may be nil, is told of every change on the way, such as
// the place in the queue. Errors are *EndedError, *Problem, of the connection (after trying for a while) or of ctx.
func (c *Client) WaitReady(ctx context.Context, s sessions.Session, changed func(sessions.Session)) (sessions.Session, error) {
	lost := time.Time{}
	for {
		for e, err := range c.Events(ctx, s.ID) {
			if p := (*Problem)(nil); errors.As(err, &p) && p.Status < http.StatusInternalServerError {
				return s, err
			}
			if err != nil {
				break
			}
			lost = time.Time{}
			if e.Session == nil {
				continue
			}
			if s = *e.Session; changed != nil {
				changed(s)
			}
			switch s.State {
			case sessions.Ready:
				return s, nil
			case sessions.Ending, sessions.Ended:
				return s, &EndedError{Session: s}
			case sessions.Queued, sessions.Starting:
			}
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if err := pause(ctx, lost); err != nil {
			return s, fmt.Errorf("wait for session %s: %w", s.ID, err)
		}
	}
}

// pause waits before the next attempt, unless ctx ends or the server is lost for too long.
func pause(ctx context.Context, lost time.Time) error {
	if time.Since(lost) > retryFor {
		return fmt.Errorf("the server has not answered for %s", retryFor)
	}
	select {
	case <-time.After(retryEvery):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
