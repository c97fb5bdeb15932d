// Package api serves a sandbox's API, version 1: plain HTTP on the sandbox's socket. ARCHITECTURE.md describes it. Who may
// ask is the server's business: whoever reaches the socket is the owner.
package api

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
	"berth/terminal"
)

// Version is the version of the API.
const Version = 1

// Limits of what a request may carry. Files are bounded by the session's disk.
const (
	maxHeaderBytes = 64 << 10
	headerTimeout  = 10 * time.Second
)

// Workspace is the container that the API serves.
type Workspace interface {
	Files() *files.Tree
	// EndProcesses ends every process but the first, and says how many.
	EndProcesses(ctx context.Context) (int, error)
}

// Routes adds routes below prefix.
type Routes interface {
	Routes(mux *http.ServeMux, prefix string)
}

// Server is the sandbox API.
type Server struct {
	Workspace Workspace
	Routes    []Routes     // further parts: terminals, exec
	Docker    http.Handler // the Docker API; nil: there is none
	Ports     Listeners    // nil: only what answers on 127.0.0.1 is found
	Registry  Registry     // nil: registries are not asked
	Builds    Builds       // nil: nothing is built
	Browser   Browser      // nil: there are no volumes
	Images    Inspector    // nil: images are not looked into

	Version string
	Log     *slog.Logger

	tunnels, watches, followers seats
}

// Handler returns the routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", s.info)
	for _, r := range s.Routes {
		r.Routes(mux, "/v1")
	}
	mux.HandleFunc("DELETE /v1/processes", s.endProcesses)
	for _, method := range fileMethods {
		mux.HandleFunc(method+" /v1/files/{path...}", s.workspaceFiles)
	}
	mux.HandleFunc("GET /v1/ports", s.listPorts)
	mux.HandleFunc("GET /v1/ports/{port}", s.openPort)
	if s.Registry != nil {
		mux.HandleFunc("GET /v1/registry/tags", s.remoteTags)
		mux.HandleFunc("GET /v1/registry/image", s.remoteImage)
	}
	if s.Browser != nil {
		s.browseRoutes(mux)
	}
	if s.Images != nil {
		s.imageRoutes(mux)
	}
	if s.Builds != nil {
		s.buildRoutes(mux)
	}
	if s.Docker != nil {
		mux.Handle("/v1/docker/", http.StripPrefix("/v1/docker", s.Docker))
	}
	return s.recovering(mux)
}

// HTTPServer returns a server for the API; its connections end with ctx.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
}

// recovering ends a request that panics, and only that one.
func (s *Server) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w := &answering{ResponseWriter: out}
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler: // net/http compares it so
				panic(v)
			default:
				s.Log.Error("panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				if w.begun {
					panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
				}
				problem(w, http.StatusInternalServerError, "the sandbox met an internal error")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"api": Version, "version": s.Version, "ready": true})
}

func (s *Server) endProcesses(w http.ResponseWriter, r *http.Request) {
	n, err := s.Workspace.EndProcesses(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, map[string]int{"ended": n})
}

// fail is the one table of errors and their status.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case errdefs.IsInvalidArgument(err):
		status = http.StatusBadRequest
	case errdefs.IsNotFound(err):
		status = http.StatusNotFound
	case errdefs.IsConflict(err), errdefs.IsFailedPrecondition(err), errors.Is(err, terminal.ErrTooMany):
		status = http.StatusConflict
	case errdefs.IsOutOfRange(err): // an image that is too large to look into
		status = http.StatusUnprocessableEntity
	case errdefs.IsResourceExhausted(err):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "2")
	case errors.Is(err, files.ErrArchive), errors.Is(err, files.ErrIsRoot), errors.Is(err, files.ErrIntoItself), errors.Is(err, unix.ELOOP),
		errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EINVAL): // EINVAL: a name that holds a zero byte
		status = http.StatusBadRequest
	case errors.Is(err, files.ErrChanged):
		status = http.StatusPreconditionFailed
	case errors.Is(err, fs.ErrNotExist):
		status = http.StatusNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		status = http.StatusForbidden
	case errors.Is(err, files.ErrNotRegular), errors.Is(err, files.ErrOtherVolume), errors.Is(err, fs.ErrExist),
		errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EBUSY):
		status = http.StatusConflict
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		status = http.StatusInsufficientStorage
	default:
		s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	problem(w, status, said(err))
}
