package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"berth/sessions"
)

// events streams what happens to a session (server-sent events). The first event is always the session as it is, so that
// a listener that comes back needs no history. The stream ends with the session.
func (h *Handlers) events(c echo.Context) error {
	id, err := sessionID(c)
	if err != nil {
		return err
	}
	ctx, cred := c.Request().Context(), CallerOf(c.Request()).Credential()
	happened, err := h.Manager.Events(ctx, cred, id)
	if err != nil {
		return err
	}
	now, err := h.Manager.Get(ctx, cred, id)
	if err != nil {
		return err
	}
	out := &eventStream{w: c.Response(), rc: http.NewResponseController(c.Response())}
	out.begin()
	if err := out.send(sessions.Event{Type: sessions.EventSession, Session: &now}); err != nil || now.State == sessions.Ended {
		return nil // the listener has gone: nobody is left to tell
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, open := <-happened:
			if !open || out.send(e) != nil {
				return nil
			}
			if e.Session != nil && e.Session.State == sessions.Ended {
				return nil
			}
		case <-beat.C:
			if out.write([]byte(": still here\n\n")) != nil {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// eventStream writes events, each with a deadline, so that a listener that does not read is dropped.
type eventStream struct {
	w  *echo.Response
	rc *http.ResponseController
	n  int
}

func (s *eventStream) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	s.w.WriteHeader(http.StatusOK)
}

func (s *eventStream) send(e sessions.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	s.n++
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", s.n, e.Type, data)
	return s.write(b.Bytes())
}

func (s *eventStream) write(b []byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(eventDeadline)) // a writer without deadlines is a test's
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.rc.Flush()
}
