package execstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// ErrClosed is answered when the sandbox is ending.
var ErrClosed = errors.New("the sandbox is ending")

// Handler runs programs for whoever asks over HTTP.
type Handler struct {
	start    Start
	log      *slog.Logger
	upgrader websocket.Upgrader
	buffers  sync.Pool       // *[]byte with room for one message
	ctx      context.Context //nolint:containedctx // the life of the programs, which outlive http.Server.Shutdown
	cancel   context.CancelFunc

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// NewHandler returns a handler. When ctx ends all its programs are killed; Close waits for that. log may be nil.
func NewHandler(ctx context.Context, start Start, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &Handler{
		start: start, log: log, ctx: ctx, cancel: cancel,
		upgrader: websocket.Upgrader{
			HandshakeTimeout: 10 * time.Second,
			ReadBufferSize:   4 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
			Subprotocols: []string{Subprotocol},
			CheckOrigin:  func(*http.Request) bool { return true }, // the server in front checks it
		},
		buffers: sync.Pool{New: func() any { b := make([]byte, 1+maxChunk); return &b }},
	}
}

// Routes adds POST and GET of prefix/exec to mux.
func (h *Handler) Routes(mux *http.ServeMux, prefix string) {
	mux.HandleFunc("POST "+prefix+"/exec", h.tracked(h.serveCollected))
	mux.HandleFunc("GET "+prefix+"/exec", h.tracked(h.serveStream))
}

// Close kills all programs and waits for them as long as ctx allows. No new one can be started.
func (h *Handler) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tracked makes Close wait for a request, and the request's context end with the handler.
func (h *Handler) tracked(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			problem(w, http.StatusServiceUnavailable, ErrClosed)
			return
		}
		h.work.Add(1)
		h.mu.Unlock()
		defer h.work.Done()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		stop := context.AfterFunc(h.ctx, cancel)
		defer stop()
		serve(w, r.WithContext(ctx))
	}
}

func (h *Handler) serveStream(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) || !slices.Contains(websocket.Subprotocols(r), Subprotocol) {
		w.Header().Set("Upgrade", "websocket")
		problem(w, http.StatusUpgradeRequired, errors.New("this is a websocket with subprotocol "+Subprotocol+"; or POST"))
		return
	}
	req, err := requestOf(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the peer was told
	}
	p, err := h.start(r.Context(), req)
	if err != nil {
		h.log.Info("exec does not start", "cmd", req.Cmd[0], "error", err)
		finish(conn, frame(frameResult, notStarted(err)), nil)
		return
	}
	h.stream(r.Context(), conn, p, req.TTY)
}

// notStarted is the outcome of a start that failed.
func notStarted(err error) outcome {
	o := outcome{Error: err.Error()}
	if bad := (*StartError)(nil); errors.As(err, &bad) && bad.Code != 0 {
		o.ExitCode = &bad.Code
	}
	return o
}

// problem answers with a problem document: RFC 9457.
func problem(w http.ResponseWriter, status int, err error) {
	body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": err.Error()})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
