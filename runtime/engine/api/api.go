// Package api serves a sandbox's API, version 1: plain HTTP on the sandbox's socket. ARCHITECTURE.md describes it. Who may
// ask is the server's business: whoever reaches the socket is the owner.
package api

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

// Version is the version of the API.
const Version = 1

// Limits of what a request may carry. Files are bounded by the session's disk.
const (
	maxHeaderBytes = 64 << 10
	maxExecBody    = 8 << 20 // JSON with standard input
	headerTimeout  = 10 * time.Second
)

// Errors of a request; the message says what to do.
var (
	ErrInvalid  = errors.New("invalid request")
	ErrNotFound = errors.New("not found")
)

// Command is a process to run in the workspace.
type Command struct {
	Cmd     []string `json:"cmd"`
	Env     []string `json:"env,omitempty"`     // KEY=value
	Workdir string   `json:"workdir,omitempty"` // absolute; empty: the image's, else home
	User    string   `json:"user,omitempty"`    // name|uid[:group|gid]; empty: the image's
	TTY     bool     `json:"tty,omitempty"`
	Cols    uint16   `json:"cols,omitempty"`
	Rows    uint16   `json:"rows,omitempty"`
}

// Process is a running Command. Its files are the caller's to close.
type Process struct {
	TTY    *os.File // the terminal's master; nil without a terminal
	Stdin  *os.File // the next three are nil with a terminal
	Stdout *os.File
	Stderr *os.File
	Signal func(unix.Signal) error
	Wait   func(context.Context) (code int, err error) // 128 plus its number for a signal
}

// Workspace is what the API serves.
type Workspace interface {
	Exec(ctx context.Context, cmd Command) (*Process, error)
	Files() *files.Tree
}

// Routes adds routes below prefix.
type Routes interface {
	Routes(mux *http.ServeMux, prefix string)
}

// Server is the sandbox API.
type Server struct {
	Workspace Workspace
	Terminals Routes // /v1/terminals…
	Version   string
	Log       *slog.Logger
}

// Handler returns the routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", s.info)
	s.Terminals.Routes(mux, "/v1")
	mux.HandleFunc("POST /v1/exec", s.exec)
	mux.HandleFunc("GET /v1/exec", s.execStream)
	mux.HandleFunc("GET /v1/files/{path...}", s.readFile)
	mux.HandleFunc("PUT /v1/files/{path...}", s.writeFile)
	mux.HandleFunc("POST /v1/files/{path...}", s.mkdir)
	mux.HandleFunc("DELETE /v1/files/{path...}", s.removeFile)
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); {
			case v == nil:
			case v == http.ErrAbortHandler: //nolint:errorlint // net/http compares it so
				panic(v)
			default:
				s.Log.Error("panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				problem(w, http.StatusInternalServerError, "the sandbox met an internal error")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"api": Version, "version": s.Version, "ready": true})
}

// fail is the one table of errors and their status.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrInvalid), errors.Is(err, files.ErrArchive), errors.Is(err, files.ErrIsRoot):
		status = http.StatusBadRequest
	case errors.Is(err, ErrNotFound), errors.Is(err, fs.ErrNotExist):
		status = http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		status = http.StatusForbidden
	case errors.Is(err, files.ErrNotRegular), errors.Is(err, fs.ErrExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR):
		status = http.StatusConflict
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		status = http.StatusInsufficientStorage
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	default:
		s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	problem(w, status, err.Error())
}

// StartError says that a command could not be started.
type StartError struct {
	Code    int // 126: it cannot be run; 127: it is not there
	Message string
}

func (e *StartError) Error() string { return e.Message }
