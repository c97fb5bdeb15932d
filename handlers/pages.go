package handlers

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"berth/sessions"
	"berth/templates"
)

func (h *Handlers) page(c echo.Context, title string) templates.Page {
	return templates.Page{Title: title, Nonce: CallerOf(c.Request()).Nonce, Asset: h.Assets.URL}
}

// render makes the whole page before its first byte is sent, so that a failure is still a clean 500.
func render(c echo.Context, status int, t templ.Component) error {
	var b bytes.Buffer
	if err := t.Render(c.Request().Context(), &b); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.HTMLBlob(status, b.Bytes())
}

func (h *Handlers) home(c echo.Context) error {
	r := c.Request()
	caller := CallerOf(r)
	view := templates.Home{
		Page:         h.page(c, "Berth: a Linux machine in your browser"),
		Environments: h.Manager.Environments(), Status: h.Manager.Status(r.Context()),
	}
	if view.Status.Err != nil {
		view.Unavailable = problemOf(view.Status.Err).Detail
	}
	if caller.Visitor != "" {
		mine, err := h.Manager.List(r.Context(), caller.Credential())
		if err != nil {
			return err
		}
		for _, s := range mine {
			if s.State != sessions.Ended {
				view.Mine = append(view.Mine, s)
			}
		}
	}
	return render(c, http.StatusOK, templates.HomePage(view))
}

func (h *Handlers) createForm(c echo.Context) error {
	arrived := limitBody(c, maxJSONBody)
	err := c.Request().ParseForm()
	arrived()
	if err != nil {
		return unreadable(err)
	}
	lifetime, err := parseLifetime(c.Request().PostFormValue("lifetime"))
	if err != nil {
		return err
	}
	created, err := h.open(c, c.Request().PostFormValue("environment"), lifetime)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/s/"+string(created.ID))
}

func (h *Handlers) session(c echo.Context) error {
	s, err := h.find(c)
	if err != nil {
		return err
	}
	view := templates.Session{Session: s, Now: time.Now(), Environment: sessions.Environment{Name: s.Environment}}
	for _, e := range h.Manager.Environments() {
		if e.Name == s.Environment {
			view.Environment = e
		}
	}
	if s.State == sessions.Ended {
		view.Page = h.page(c, "Ended: "+s.Environment+" · Berth")
		return render(c, http.StatusOK, templates.EndedPage(view))
	}
	view.Page = h.page(c, s.Environment+" · Berth")
	return render(c, http.StatusOK, templates.SessionPage(view))
}

func (h *Handlers) extendForm(c echo.Context) error {
	return h.form(c, func(id sessions.ID) error {
		_, err := h.Manager.Extend(c.Request().Context(), CallerOf(c.Request()).Credential(), id)
		return err
	})
}

func (h *Handlers) endForm(c echo.Context) error {
	return h.form(c, func(id sessions.ID) error {
		return h.Manager.End(c.Request().Context(), CallerOf(c.Request()).Credential(), id)
	})
}

// form does what a button without scripts asks for, and shows the session again.
func (h *Handlers) form(c echo.Context, do func(sessions.ID) error) error {
	id, err := sessionID(c)
	if err != nil {
		return err
	}
	if err := do(id); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/s/"+string(id))
}

func (h *Handlers) problemPage(c echo.Context, p Problem) error {
	heading := p.Title
	switch p.Status {
	case http.StatusNotFound:
		heading = "There is nothing here"
	case http.StatusTooManyRequests:
		heading = "One too many"
	case http.StatusServiceUnavailable:
		heading = "Not right now"
	case http.StatusInternalServerError, http.StatusBadGateway:
		heading = "That did not work"
	}
	return render(c, p.Status, templates.ProblemPage(templates.Problem{
		Page: h.page(c, heading+" · Berth"), Status: p.Status, Heading: heading, Detail: p.Detail, RequestID: p.RequestID,
	}))
}
