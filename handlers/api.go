package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"berth/sessions"
)

// createBody is the body of POST /api/v1/sessions. All of it may be left out.
type createBody struct {
	Environment string `json:"environment"` // default: the first of the list
	Lifetime    string `json:"lifetime"`    // "45m"; default: the environment's own
}

// sessionAnswer is a session as the API tells it. Token is told once, at creation.
type sessionAnswer struct {
	sessions.Session
	URL   string `json:"url"`
	Token string `json:"token,omitempty"`
}

func tell(r *http.Request, s sessions.Session) sessionAnswer {
	return sessionAnswer{Session: s, URL: fmt.Sprintf("%s://%s/s/%s", CallerOf(r).Scheme, r.Host, s.ID)}
}

// sessionID is the ID in the path. One that cannot exist is told like one that does not.
func sessionID(c echo.Context) (sessions.ID, error) {
	id := sessions.ID(c.Param("id"))
	if !id.Valid() {
		return "", sessions.ErrNotFound
	}
	return id, nil
}

func (h *Handlers) environments(c echo.Context) error {
	return answer(c, http.StatusOK, h.Manager.Environments())
}

func (h *Handlers) create(c echo.Context) error {
	var body createBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	lifetime, err := parseLifetime(body.Lifetime)
	if err != nil {
		return err
	}
	created, err := h.open(c, body.Environment, lifetime)
	if err != nil {
		return err
	}
	a := tell(c.Request(), created.Session)
	a.Token = created.Token
	c.Response().Header().Set("Location", "/api/v1/sessions/"+string(created.ID))
	return answer(c, http.StatusCreated, a)
}

func parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, refuse(http.StatusBadRequest, "lifetime", fmt.Sprintf("The lifetime %q is not a time. Write it as \"45m\", \"90s\" or \"1h30m\".", text))
	}
	return d, nil
}

// open creates a session for the caller, who gets an identity where they have none.
func (h *Handlers) open(c echo.Context, environment string, lifetime time.Duration) (sessions.Created, error) {
	caller := CallerOf(c.Request())
	if caller.Token != "" {
		return sessions.Created{}, refuse(http.StatusUnauthorized, "token", "This token does not create sessions: only the token of root on this host does. Leave the Authorization header out to create a session as a visitor.")
	}
	if environment == "" {
		all := h.Manager.Environments()
		if len(all) == 0 {
			return sessions.Created{}, refuse(http.StatusServiceUnavailable, "no-environment", "This server has no environment yet. Its operator adds one with `berth image import` and the environments file.")
		}
		environment = all[0].Name
	}
	visitor := caller.Visitor
	if visitor == "" && !caller.Admin {
		var err error
		if visitor, err = h.NewVisitor(c.Response(), c.Request()); err != nil {
			return sessions.Created{}, err
		}
	}
	created, err := h.Manager.Create(c.Request().Context(), sessions.Request{
		Environment: environment, Lifetime: lifetime, Visitor: visitor, Address: caller.Address, Admin: caller.Admin,
	})
	h.metrics.created(environment, err)
	return created, err
}

func (h *Handlers) list(c echo.Context) error {
	found, err := h.Manager.List(c.Request().Context(), CallerOf(c.Request()).Credential())
	if err != nil {
		return err
	}
	all := make([]sessionAnswer, 0, len(found))
	for _, s := range found {
		all = append(all, tell(c.Request(), s))
	}
	return answer(c, http.StatusOK, all)
}

func (h *Handlers) get(c echo.Context) error {
	s, err := h.find(c)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, tell(c.Request(), s))
}

func (h *Handlers) find(c echo.Context) (sessions.Session, error) {
	id, err := sessionID(c)
	if err != nil {
		return sessions.Session{}, err
	}
	return h.Manager.Get(c.Request().Context(), CallerOf(c.Request()).Credential(), id)
}

func (h *Handlers) extend(c echo.Context) error {
	id, err := sessionID(c)
	if err != nil {
		return err
	}
	s, err := h.Manager.Extend(c.Request().Context(), CallerOf(c.Request()).Credential(), id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, tell(c.Request(), s))
}

func (h *Handlers) end(c echo.Context) error {
	id, err := sessionID(c)
	if err != nil {
		return err
	}
	if err := h.Manager.End(c.Request().Context(), CallerOf(c.Request()).Credential(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
