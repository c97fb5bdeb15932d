// Package dockerapi answers Docker's Engine API over the engine: each handler decodes a request, makes one call, and encodes
// what it returns. The reference is the API's own swagger.yaml (github.com/moby/moby/api). Who may ask is not its business:
// whoever reaches the socket is root of this sandbox, and of nothing else.
package dockerapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/gorilla/mux"
)

// Versions of the API: the one we speak, and the oldest that we understand.
const (
	Version    = "1.51"
	MinVersion = "1.40"
)

const (
	maxHeaderBytes = 64 << 10
	headerTimeout  = 10 * time.Second
)

// Part is one topic of the API: images, containers, networks, …
type Part interface {
	Routes(r *Router)
}

// HandlerFunc answers a request, or returns why not: the error becomes the status and {"message": …}.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Router takes the routes of all parts.
type Router struct {
	mux *mux.Router
	log *slog.Logger
}

// Handle answers method and path, with and without a version in front. Parts of the path are named as gorilla/mux does:
// "/images/{name:.*}/json".
func (r *Router) Handle(method, path string, h HandlerFunc) {
	handler := r.wrap(h)
	r.mux.Path("/v{version:[0-9][0-9.]*}" + path).Methods(method).Handler(handler)
	r.mux.Path(path).Methods(method).Handler(handler)
}

// Var is a named part of the request's path.
func Var(r *http.Request, name string) string { return mux.Vars(r)[name] }

// New returns the API. Requests that nobody has a route for get Docker's 404.
func New(log *slog.Logger, parts ...Part) http.Handler {
	m := mux.NewRouter()
	m.UseEncodedPath()
	m.SkipClean(true)
	r := &Router{mux: m, log: log}
	for _, p := range parts {
		p.Routes(r)
	}
	m.NotFoundHandler = r.wrap(func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("page not found%w", hidden{errdefs.ErrNotFound})
	})
	m.MethodNotAllowedHandler = m.NotFoundHandler
	return m
}

// HTTPServer returns a server for the API. Its streams end when it is closed.
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// wrap checks the version, and ends a request that panics, and only that one.
func (r *Router) wrap(h HandlerFunc) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, req *http.Request) {
		w := &writer{ResponseWriter: out}
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler: // net/http compares it so
				panic(v)
			default:
				r.log.Error("panic", "path", req.URL.Path, "panic", v, "stack", string(debug.Stack()))
				if w.begun {
					panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
				}
				r.fail(w, req, fmt.Errorf("the engine met an internal error: %v", v))
			}
		}()
		w.Header().Set("Api-Version", Version)
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Docker-Experimental", "false")
		w.Header().Set("Server", "Docker/"+EngineVersion+" (linux) Berth")
		err := checkVersion(Var(req, "version"))
		if err == nil {
			err = h(w, req)
		}
		if err != nil {
			r.fail(w, req, err)
		}
	})
}

// EngineVersion is the release of Docker whose API and behaviour we answer with: clients compare it.
const EngineVersion = "28.5.2"

func checkVersion(v string) error {
	switch {
	case v == "":
		return nil
	case less(v, MinVersion):
		return Invalid("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", v, MinVersion)
	case less(Version, v):
		return Invalid("client version %s is too new. Maximum supported API version is %s", v, Version)
	}
	return nil
}

// VersionOf is the API version that a request speaks.
func VersionOf(r *http.Request) string {
	if v := Var(r, "version"); v != "" {
		return v
	}
	return Version
}

// less compares versions such as 1.9 and 1.51.
func less(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		m, n := part(x, i), part(y, i)
		if m != n {
			return m < n
		}
	}
	return false
}

func part(v []string, i int) int {
	if i >= len(v) {
		return 0
	}
	n, err := strconv.Atoi(v[i])
	if err != nil {
		return 0
	}
	return n
}
