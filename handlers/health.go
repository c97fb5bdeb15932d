package handlers

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"
)

type health struct {
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"`
	Version  string `json:"version,omitempty"`
	Sessions int    `json:"sessions"`
	Capacity int    `json:"capacity"`
	Queued   int    `json:"queued"`
}

// healthz says that the server answers. It stays true when sessions cannot be created: a restart would not help.
func (h *Handlers) healthz(c echo.Context) error {
	return answer(c, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether a session could be created now.
func (h *Handlers) readyz(c echo.Context) error {
	s := h.Manager.Status(c.Request().Context())
	a := health{Status: "ok", Version: h.Version, Sessions: s.Sessions, Capacity: s.Capacity, Queued: s.Queued}
	status := http.StatusOK
	switch {
	case s.Err != nil:
		a.Status, a.Reason, status = "unavailable", problemOf(s.Err).Detail, http.StatusServiceUnavailable
		h.Log.WarnContext(c.Request().Context(), "sessions cannot be created", "error", s.Err)
	case len(h.Manager.Environments()) == 0:
		a.Status, a.Reason, status = "unavailable", "There is no environment. Add one to the environments file.", http.StatusServiceUnavailable
	}
	if status != http.StatusOK {
		c.Response().Header().Set("Retry-After", "10")
	}
	return answer(c, status, a)
}

//go:embed openapi.json
var openapiDocument []byte

func (h *Handlers) openapi(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/json", openapiDocument)
}
