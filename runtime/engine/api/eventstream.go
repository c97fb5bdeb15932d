package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	eventDeadline = 10 * time.Second // a listener that takes longer over one event is dropped; it may come back
	heartbeat     = 20 * time.Second // how often something is sent where nothing happens
)

// eventStream writes server-sent events to one client. Its methods may be called at the same time.
type eventStream struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	out   *http.ResponseController
	begun bool
}

func newEventStream(w http.ResponseWriter) *eventStream {
	return &eventStream{w: w, out: http.NewResponseController(w)}
}

// begin sends the head of the answer. The first part of the stream does, too: until then another answer can be given.
func (s *eventStream) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head()
	_ = s.out.Flush() // the client has gone: the next write tells
}

func (s *eventStream) head() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.WriteHeader(http.StatusOK)
}

// send writes a part of the stream.
func (s *eventStream) send(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head()
	_ = s.out.SetWriteDeadline(time.Now().Add(eventDeadline)) // a writer without deadlines is a test's
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.out.Flush()
}

// beat sends a comment now and then, until ctx ends.
func (s *eventStream) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.send(": still here\n\n") != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
