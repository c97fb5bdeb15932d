package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
	"berth/terminal/terminaltest"
)

const adminToken = "root-of-this-host"

// server speaks the REST API, with real terminals and programs behind it. Each of its sessions goes through a script of
// states, one step for every event that is sent.
type server struct {
	*httptest.Server
	t      *testing.T
	script []sessions.Session // what a new session goes through; the last one stays
	terms  *terminal.Set
	execs  *execstream.Handler

	mu       sync.Mutex
	sessions map[sessions.ID]*client.Session
	created  []string // bodies of POST
	ended    []sessions.ID
}

func newServer(t *testing.T, script ...sessions.Session) *server {
	t.Helper()
	s := &server{t: t, script: script, sessions: map[sessions.ID]*client.Session{}}
	if len(script) == 0 {
		s.script = []sessions.Session{{State: sessions.Ready}}
	}
	runner := &terminaltest.Runner{}
	s.terms = terminal.NewSet(context.Background(), terminaltest.Command("sh"), terminal.Options{})
	s.execs = execstream.NewHandler(context.Background(), runner.Start, nil)
	inner, mux := http.NewServeMux(), http.NewServeMux()
	s.terms.Routes(inner, "/v1")
	s.execs.Routes(inner, "/v1")
	mux.HandleFunc("POST /api/v1/sessions", s.create)
	mux.HandleFunc("GET /api/v1/sessions", s.list)
	mux.HandleFunc("GET /api/v1/sessions/{id}", s.own(s.get))
	mux.HandleFunc("DELETE /api/v1/sessions/{id}", s.own(s.end))
	mux.HandleFunc("GET /api/v1/sessions/{id}/events", s.own(s.events))
	mux.HandleFunc("/api/v1/sessions/{id}/", s.own(func(w http.ResponseWriter, r *http.Request, id sessions.ID) {
		s.mu.Lock()
		state, message := s.sessions[id].State, s.sessions[id].Message
		s.mu.Unlock()
		if state == sessions.Ended {
			s.problem(w, http.StatusGone, message)
			return
		}
		r.URL.Path = "/v1/" + strings.SplitN(r.URL.Path, "/", 6)[5]
		inner.ServeHTTP(w, r)
	}))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.terms.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := s.execs.Close(ctx); err != nil {
			t.Error(err)
		}
		s.CloseClientConnections()
		s.Close()
		if n := runner.Running(); n != 0 {
			t.Errorf("%d programs left", n)
		}
	})
	return s
}

func (s *server) problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	var body struct{ Environment, Lifetime string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if body.Environment == "nowhere" {
		s.problem(w, http.StatusBadRequest, "There is no such environment.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created = append(s.created, fmt.Sprintf("%s %s", body.Environment, body.Lifetime))
	c := &client.Session{Session: s.script[0]}
	c.ID, c.Environment, c.CreatedAt = sessions.NewID(), "debian", time.Now()
	c.Token = "token-of-" + string(c.ID)
	c.ExpiresAt = time.Now().Add(45 * time.Minute)
	s.sessions[c.ID] = c
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(c)
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []client.Session{}
	for _, c := range s.sessions {
		if s.may(r, c.ID) {
			all = append(all, *c)
		}
	}
	_ = json.NewEncoder(w).Encode(all)
}

func (s *server) may(r *http.Request, id sessions.ID) bool {
	token := r.Header.Get("Authorization")
	return token == "Bearer "+adminToken || token == "Bearer token-of-"+string(id)
}

// own answers 404 to whoever has no right to the session.
func (s *server) own(serve func(http.ResponseWriter, *http.Request, sessions.ID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := sessions.ID(r.PathValue("id"))
		s.mu.Lock()
		_, found := s.sessions[id]
		s.mu.Unlock()
		if !found || !s.may(r, id) {
			s.problem(w, http.StatusNotFound, "There is no such session, or it is not yours.")
			return
		}
		serve(w, r, id)
	}
}

func (s *server) get(w http.ResponseWriter, _ *http.Request, id sessions.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.sessions[id])
}

func (s *server) end(w http.ResponseWriter, _ *http.Request, id sessions.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, id)
	delete(s.sessions, id)
	w.WriteHeader(http.StatusNoContent)
}

// events sends the script, then nothing until the listener goes.
func (s *server) events(w http.ResponseWriter, r *http.Request, id sessions.ID) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i, step := range s.script {
		now, found := s.advance(id, step)
		if !found {
			return // ended while it was listened to
		}
		text, err := json.Marshal(sessions.Event{Type: sessions.EventSession, Session: &now})
		if err != nil {
			s.t.Error(err)
		}
		_, _ = fmt.Fprintf(w, ": beat\n\nid: %d\nevent: session\ndata: %s\n\n", i, text)
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
}

// advance takes a session to a step of the script.
func (s *server) advance(id sessions.ID, step sessions.Session) (sessions.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.sessions[id]
	if c == nil {
		return sessions.Session{}, false
	}
	if c.State == sessions.Ended { // states move only forwards
		return c.Session, true
	}
	c.State, c.QueuePosition, c.Reason, c.Message = step.State, step.QueuePosition, step.Reason, step.Message
	return c.Session, true
}

func (s *server) endedSessions() []sessions.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sessions.ID(nil), s.ended...)
}

// expire ends a session as its clock does: programs die, connections break.
func (s *server) expire(id sessions.ID) {
	s.mu.Lock()
	c := s.sessions[id]
	c.State, c.Reason, c.Message = sessions.Ended, sessions.Expired, "The session's time was up."
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.terms.Close(ctx); err != nil {
		s.t.Error(err)
	}
	if err := s.execs.Close(ctx); err != nil {
		s.t.Error(err)
	}
}

// requests are the bodies of the creations.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.created...)
}

// addReady makes a session that is ready.
func (s *server) addReady() sessions.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sessions.NewID()
	s.sessions[id] = &client.Session{Session: sessions.Session{
		ID: id, Environment: "debian", State: sessions.Ready, ExpiresAt: time.Now().Add(10*time.Minute + 500*time.Millisecond),
	}}
	return id
}
