package handlers

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/labstack/echo/v4"

	"berth/static"
)

// How long things may take and how large they may be.
const (
	maxJSONBody     = 64 << 10 // a creation is some 100 bytes
	maxExecBody     = 16 << 20 // stdin of one exec; larger input goes over the websocket
	maxUploadBody   = 16 << 30 // more than any session's disk; the disk's own limit bites first
	heartbeat       = 15 * time.Second
	eventDeadline   = 10 * time.Second // a listener that takes longer over one event is dropped
	retryNotReady   = time.Second
	bodyReadTimeout = 20 * time.Second // of a JSON or form body
)

// Config is what the handlers need. All fields but Version are required.
type Config struct {
	Manager Manager
	Assets  *static.Assets
	Log     *slog.Logger
	// NewVisitor gives the answer a cookie with a new identity, and returns that identity.
	NewVisitor func(w http.ResponseWriter, r *http.Request) (string, error)
	Version    string
}

// Handlers answers requests.
type Handlers struct {
	Config
	metrics *metrics
	proxy   *sandboxProxy
	preview *httputil.ReverseProxy
}

// New checks cfg and returns the handlers.
func New(cfg Config) (*Handlers, error) {
	if cfg.Manager == nil || cfg.Assets == nil || cfg.Log == nil || cfg.NewVisitor == nil {
		return nil, errors.New("handlers: Manager, Assets, Log and NewVisitor are all needed")
	}
	h := &Handlers{Config: cfg, metrics: newMetrics(cfg.Manager)}
	h.proxy, h.preview = newSandboxProxy(h), newPreviewProxy(cfg.Log)
	return h, nil
}

// Register adds every route to e. Routes that stay open for as long as the visitor watches get stream too.
func (h *Handlers) Register(e *echo.Echo, stream echo.MiddlewareFunc) {
	e.HTTPErrorHandler = h.Error
	e.GET("/", h.home)
	e.POST("/sessions", h.createForm)
	e.GET("/s/:id", h.session)
	e.POST("/s/:id/extend", h.extendForm)
	e.POST("/s/:id/end", h.endForm)
	e.GET(static.Prefix+"*", echo.WrapHandler(h.Assets))
	e.HEAD(static.Prefix+"*", echo.WrapHandler(h.Assets))

	e.GET("/healthz", h.healthz)
	e.GET("/readyz", h.readyz)
	e.GET("/metrics", h.metrics.serve)
	e.GET("/api/v1/openapi.json", h.openapi)
	e.GET("/api/v1/environments", h.environments)
	e.POST("/api/v1/sessions", h.create)
	e.GET("/api/v1/sessions", h.list)
	e.GET("/api/v1/sessions/:id", h.get)
	e.DELETE("/api/v1/sessions/:id", h.end)
	e.POST("/api/v1/sessions/:id/extend", h.extend)
	e.GET("/api/v1/sessions/:id/events", h.events, stream, h.streamed)
	for _, path := range []string{
		"terminals", "terminals/*", "exec", "processes", "files", "files/*", "docker/*", "ports", "ports/*", "registry/tags", "registry/image",
		"volumes", "volumes/*", "changes",
		"image", "image/tree", "image/file", "image/compare", "image/save",
		"dockerfile", "builds", "builds/:build", "builds/:build/events", "builds/:build/log", "builds/:build/cancel", "builds/:build/steps/:step/debug",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead} {
			e.Add(method, "/api/v1/sessions/:id/"+path, h.sandbox, stream, h.streamed)
		}
	}
}
