package dockerapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"berth/runtime/engine/stdio"
)

// Streamed is what the streams need of one container.
type Streamed interface {
	// Attach connects a client. Errors before o.Ready is called are the request's; see stdio.Hub.Attach.
	Attach(ctx context.Context, o stdio.AttachOptions) error
	TTY() bool
	Dir() string                 // where its log is
	LogPath() string             // "": it keeps none
	LogWriter() *stdio.LogWriter // nil: it does not run
}

// StreamManager is what the streams need of the containers. Errors are errdefs'.
type StreamManager[C Streamed] interface {
	Get(ref string) (C, error)
	Resize(ref string, width, height uint) error
	// ExecStart starts what was created. With attach nil it returns when that runs. Else it calls attach.Ready before the
	// start, and returns when the output has ended and the exit code is known, or the client has left. size is the
	// terminal's height and width; nil: as it was created. What the exec does not attach, and its detach keys, are the
	// manager's to set in attach.
	ExecStart(ctx context.Context, id string, size *[2]uint, attach *stdio.AttachOptions) error
	ExecResize(id string, width, height uint) error
}

// Streams answers for the streams of containers: attach, exec, logs.
type Streams[C Streamed] struct {
	Manager StreamManager[C]
	Log     *slog.Logger
}

// Routes adds the routes of streams.
func (s Streams[C]) Routes(r *Router) {
	r.Handle(http.MethodPost, "/containers/{name:.*}/attach", s.attach)
	r.Handle(http.MethodGet, "/containers/{name:.*}/attach/ws", s.attachWebsocket)
	r.Handle(http.MethodGet, "/containers/{name:.*}/logs", s.logs)
	r.Handle(http.MethodPost, "/containers/{name:.*}/resize", s.resize)
	r.Handle(http.MethodPost, "/exec/{id:.*}/start", s.execStart)
	r.Handle(http.MethodPost, "/exec/{id:.*}/resize", s.execResize)
}

func (s Streams[C]) resize(_ http.ResponseWriter, r *http.Request) error {
	return resize(r, Var(r, "name"), s.Manager.Resize)
}

func (s Streams[C]) execResize(_ http.ResponseWriter, r *http.Request) error {
	return resize(r, Var(r, "id"), s.Manager.ExecResize)
}

func resize(r *http.Request, ref string, to func(ref string, width, height uint) error) error {
	height, err := dimension(r, "h", "height")
	if err != nil {
		return err
	}
	width, err := dimension(r, "w", "width")
	if err != nil {
		return err
	}
	return to(ref, width, height)
}

// maxDimension is what a terminal's size can say: ioctl_tty(2), struct winsize.
const maxDimension = 1<<16 - 1

func dimension(r *http.Request, key, name string) (uint, error) {
	v, err := strconv.ParseUint(r.FormValue(key), 10, 32)
	if err != nil || v > maxDimension {
		return 0, Invalid("invalid resize %s %q", name, r.FormValue(key))
	}
	return uint(v), nil
}
