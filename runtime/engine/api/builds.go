package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"berth/runtime/engine/build/dockerfile"
	"berth/runtime/engine/build/record"
)

// Limits of requests about builds.
const (
	maxBuildRequest = 256 << 10 // bytes: arguments and labels are the visitor's
	maxFollowers    = 64        // of events, at a time
)

// BuildRequest is a build that the page asks for. The context and, if it is not below it, the Dockerfile are paths of the
// workspace.
type BuildRequest struct {
	Context    string            `json:"context"`
	Dockerfile string            `json:"dockerfile"` // relative to the context; empty: Dockerfile
	Target     string            `json:"target"`
	Tags       []string          `json:"tags"`
	Args       map[string]string `json:"args"`
	Labels     map[string]string `json:"labels"`
	NoCache    bool              `json:"no_cache"`
	Pull       bool              `json:"pull"`
}

// Builds are the builds of the session. Errors are classified by errdefs, or of the file system.
type Builds interface {
	List(ctx context.Context) ([]record.Summary, error)
	Get(ctx context.Context, id string) (*record.Build, error)
	// Create begins a build, which goes on when ctx has ended.
	Create(ctx context.Context, r BuildRequest) (*record.Build, error)
	Forget(ctx context.Context, id string) error
	// Debug opens a terminal in the state of a step, and returns its name.
	Debug(ctx context.Context, id, step string) (string, error)
	// Check looks at the text of a Dockerfile.
	Check(ctx context.Context, text []byte) (*dockerfile.Check, error)
}

func (s *Server) buildRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/builds", s.listBuilds)
	mux.HandleFunc("POST /v1/builds", s.createBuild)
	mux.HandleFunc("GET /v1/builds/{id}", s.getBuild)
	mux.HandleFunc("DELETE /v1/builds/{id}", s.forgetBuild)
	mux.HandleFunc("GET /v1/builds/{id}/events", s.followBuild)
	mux.HandleFunc("GET /v1/builds/{id}/log", s.logOfBuild)
	mux.HandleFunc("POST /v1/builds/{id}/cancel", s.cancelBuild)
	mux.HandleFunc("POST /v1/builds/{id}/steps/{step}/debug", s.debugStep)
	mux.HandleFunc("POST /v1/dockerfile", s.checkDockerfile)
}

func (s *Server) listBuilds(w http.ResponseWriter, r *http.Request) {
	list, err := s.Builds.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, map[string][]record.Summary{"builds": list})
}

func (s *Server) createBuild(w http.ResponseWriter, r *http.Request) {
	var req BuildRequest
	body, tooLong, err := readBody(r, maxBuildRequest)
	if tooLong || err != nil {
		problem(w, http.StatusBadRequest, fmt.Sprintf("The description of a build has at most %d KiB.", maxBuildRequest>>10))
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&req); err != nil {
		problem(w, http.StatusBadRequest, "This is not the description of a build: "+err.Error())
		return
	}
	b, err := s.Builds.Create(r.Context(), req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answerBuild(w, r, b, http.StatusCreated)
}

func (s *Server) getBuild(w http.ResponseWriter, r *http.Request) {
	if b := s.build(w, r); b != nil {
		s.answerBuild(w, r, b, http.StatusOK)
	}
}

// build finds the build that a request is about, or says that there is none.
func (s *Server) build(w http.ResponseWriter, r *http.Request) *record.Build {
	b, err := s.Builds.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return nil
	}
	return b
}

func (s *Server) answerBuild(w http.ResponseWriter, r *http.Request, b *record.Build, status int) {
	whole, err := b.Whole()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answerWith(w, status, whole)
}

func (s *Server) forgetBuild(w http.ResponseWriter, r *http.Request) {
	if err := s.Builds.Forget(r.Context(), r.PathValue("id")); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) cancelBuild(w http.ResponseWriter, r *http.Request) {
	b := s.build(w, r)
	if b == nil {
		return
	}
	if err := b.Cancel(); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) logOfBuild(w http.ResponseWriter, r *http.Request) {
	b := s.build(w, r)
	if b == nil {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := b.Plain(r.Context(), w); err != nil {
		s.Log.Debug("the log of a build", "build", b.ID(), "error", err)
		panic(http.ErrAbortHandler) // half a log must not pass for a whole one
	}
}

func (s *Server) debugStep(w http.ResponseWriter, r *http.Request) {
	name, err := s.Builds.Debug(r.Context(), r.PathValue("id"), r.PathValue("step"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answerWith(w, http.StatusCreated, map[string]string{"terminal": name})
}

func (s *Server) checkDockerfile(w http.ResponseWriter, r *http.Request) {
	text, tooLong, err := readBody(r, dockerfile.MaxText)
	if tooLong {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("A Dockerfile has at most %d KiB.", dockerfile.MaxText>>10))
		return
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := s.Builds.Check(r.Context(), text)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, found)
}

// followBuild sends the events of a build, from the first or from behind the one that the client has: server-sent events.
func (s *Server) followBuild(w http.ResponseWriter, r *http.Request) {
	b := s.build(w, r)
	if b == nil {
		return
	}
	after := 0
	last := r.URL.Query().Get("after")
	if last == "" {
		last = r.Header.Get("Last-Event-ID")
	}
	if last != "" {
		var err error
		if after, err = strconv.Atoi(last); err != nil || after < 0 {
			problem(w, http.StatusBadRequest, fmt.Sprintf("%.40q is not the number of an event.", last))
			return
		}
	}
	if !s.followers.take(maxFollowers) {
		problem(w, http.StatusTooManyRequests, "Too many follow the builds of this session: close a page first.")
		return
	}
	defer s.followers.leave()
	sendEvents(w, r, b, after)
}

// sendEvents writes a comment now and then while nothing happens, so that whoever is between does not take the connection for dead.
func sendEvents(w http.ResponseWriter, r *http.Request, b *record.Build, after int) {
	out := newEventStream(w)
	out.begin()
	beating, stop := context.WithCancel(r.Context())
	var beats sync.WaitGroup
	defer beats.Wait()
	defer stop()
	beats.Go(func() { out.beat(beating) })
	ended := false
	err := b.Follow(r.Context(), after, func(e record.Event) error {
		ended = ended || e.Kind == record.KindEnd
		return out.send("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, e.Data)
	})
	if err == nil && !ended { // the record broke off with its machine, or the client had the last event already
		_ = out.send("event: %s\ndata: {}\n\n", record.KindEnd) // the client has gone: nobody to tell
	}
}
