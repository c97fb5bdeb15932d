package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
)

// Sandbox answers the sandbox API (version 1) on connections within the process. It is hostile where it can be: it tries to set
// cookies and to redirect.
type Sandbox struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
	docker *Docker
	builds *Builds

	mu        sync.Mutex
	terminals map[string]*Terminal
	seen      []http.Header // of every request
	open      map[net.Conn]bool
	refuse    bool
	ports     map[uint16]http.Handler
	fileTree  *fileTree // nil: nobody has asked for files yet
}

// NewSandbox starts one. Close ends it.
func NewSandbox() *Sandbox {
	s := &Sandbox{conns: make(chan net.Conn), done: make(chan struct{}), terminals: map[string]*Terminal{}, docker: newDocker(), open: map[net.Conn]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/terminals", s.list)
	mux.HandleFunc("GET /v1/terminals/{name}", s.view)
	mux.HandleFunc("DELETE /v1/terminals/{name}", s.remove)
	mux.HandleFunc("POST /v1/exec", s.exec)
	mux.HandleFunc("/v1/files/", s.files)
	s.docker.register(mux)
	s.docker.registerVolumes(mux)
	s.builds = newBuilds(s.Terminal, s.Dir)
	s.builds.register(mux)
	s.portRoutes(mux)
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // in memory
		s.mu.Lock()
		h := r.Header.Clone()
		h.Set("X-Path", r.URL.EscapedPath())
		h.Set("X-Host", r.Host)
		s.seen = append(s.seen, h)
		s.mu.Unlock()
		w.Header().Set("Set-Cookie", "berth=stolen; Path=/")
		w.Header().Set("Clear-Site-Data", `"*"`)
		mux.ServeHTTP(w, r)
	})}
	go func() { _ = s.server.Serve(door{s}) }()
	return s
}

// door is where the sandbox's own server takes connections from.
type door struct{ *Sandbox }

func (d door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

func (d door) Addr() net.Addr { return &net.UnixAddr{Name: "sandbox", Net: "unix"} }
func (d door) Close() error   { return nil }

// Close ends the sandbox and all its connections.
func (s *Sandbox) Close() {
	s.once.Do(func() {
		close(s.done)
		s.Cut()
		_ = s.server.Close()
		s.removeFiles()
	})
}

// Dial connects to the API.
func (s *Sandbox) Dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if refuse {
		return nil, errors.New("connection refused (by the test)")
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	select {
	case s.conns <- theirs:
		s.mu.Lock()
		s.open[theirs] = true
		s.mu.Unlock()
		return ours, nil
	case <-s.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Cut closes every connection, as a restart of the server would.
func (s *Sandbox) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
	clear(s.open)
}

// Refuse lets no new connection in while it is on.
func (s *Sandbox) Refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = on
}

// Seen are the headers of every request so far, with the path and host in X-Path and X-Host.
func (s *Sandbox) Seen() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]http.Header(nil), s.seen...)
}

// Docker is the one in it.
func (s *Sandbox) Docker() *Docker { return s.docker }

// Builds are those in it.
func (s *Sandbox) Builds() *Builds { return s.builds }

// Terminal returns the terminal of that name, which is made where there is none.
func (s *Sandbox) Terminal(name string) *Terminal {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.terminals[name]
	if !ok {
		t = newTerminal()
		s.terminals[name] = t
	}
	return t
}

// Names are those of the terminals.
func (s *Sandbox) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for n := range s.terminals {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func (s *Sandbox) list(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	for _, n := range s.Names() {
		all = append(all, s.Terminal(n).describe(n))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func (s *Sandbox) view(w http.ResponseWriter, r *http.Request) {
	s.Terminal(r.PathValue("name")).serve(w, r)
}

func (s *Sandbox) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	t, ok := s.terminals[r.PathValue("name")]
	delete(s.terminals, r.PathValue("name"))
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	t.end()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) exec(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Cmd   []string `json:"cmd"`
		Stdin string   `json:"stdin"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"exit_code": 0, "stdout": strings.Join(body.Cmd, " ") + body.Stdin, "stderr": ""})
}

func (s *Sandbox) files(w http.ResponseWriter, r *http.Request) {
	switch {
	case isOfPage(r):
		s.tree().api.ServeHTTP(w, r)
	case r.URL.Path == "/v1/files/early":
		w.WriteHeader(http.StatusContinue)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/v1/files/away":
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	case r.Method == http.MethodPut:
		_, _ = io.Copy(w, r.Body)
	default:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script>parent.stolen = document.cookie</script>")
	}
}
