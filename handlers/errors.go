package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"berth/sessions"
)

// Problem is an error as the client reads it (RFC 9457). Code is stable: programs may decide on it.
type Problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	RequestID  string `json:"request_id,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// HTTPError is an error of the request itself. Message says what to do.
type HTTPError struct {
	Status  int
	Code    string
	Message string
	Err     error // for the log
	Retry   time.Duration
}

func (e *HTTPError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}
func (e *HTTPError) Unwrap() error { return e.Err }

// refuse is an HTTPError without more.
func refuse(status int, code, message string) error {
	return &HTTPError{Status: status, Code: code, Message: message}
}

// problemOf is the one place that says what an error means to HTTP.
func problemOf(err error) Problem {
	p := classify(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	var told *sessions.Error
	if errors.As(err, &told) && p.Status != http.StatusInternalServerError {
		p.Detail = told.Message
		if told.RetryAfter > 0 {
			p.RetryAfter = seconds(told.RetryAfter)
		}
	}
	return p
}

func classify(err error) Problem {
	var own *HTTPError
	var tooLarge *http.MaxBytesError
	var routed *echo.HTTPError
	switch {
	case errors.As(err, &tooLarge):
		return Problem{Status: 413, Code: "too-large", Detail: fmt.Sprintf("The body is larger than %d bytes, which is the most this address takes.", tooLarge.Limit)}
	case errors.As(err, &own):
		return Problem{Status: own.Status, Code: own.Code, Detail: own.Message, RetryAfter: seconds(own.Retry)}
	case errors.Is(err, sessions.ErrNotFound):
		return Problem{Status: 404, Code: "not-found", Detail: "There is no such session, or it is not yours."}
	case errors.Is(err, sessions.ErrUnknownEnvironment):
		return Problem{Status: 400, Code: "unknown-environment", Detail: "There is no such environment. GET /api/v1/environments lists them."}
	case errors.Is(err, sessions.ErrTooMany):
		return Problem{Status: 429, Code: "too-many-sessions", Detail: "You have as many sessions as you may have. End one first."}
	case errors.Is(err, sessions.ErrQueueFull):
		return Problem{Status: 503, Code: "queue-full", Detail: "Every place is taken and the queue is full. Try again in a minute.", RetryAfter: 60}
	case errors.Is(err, sessions.ErrUnavailable):
		return Problem{Status: 503, Code: "unavailable", Detail: "Sessions cannot be created now. Try again in a minute.", RetryAfter: 60}
	case errors.Is(err, sessions.ErrCannotExtend):
		return Problem{Status: 409, Code: "cannot-extend", Detail: "This session cannot be extended further."}
	case errors.Is(err, sessions.ErrNotReady):
		return Problem{Status: 409, Code: "not-ready", Detail: "The session is not ready yet. Try again in a second.", RetryAfter: seconds(retryNotReady)}
	case errors.Is(err, sessions.ErrEnded):
		return Problem{Status: 410, Code: "ended", Detail: "The session has ended. Create a new one."}
	case errors.Is(err, sessions.ErrInvalid):
		return Problem{Status: 400, Code: "invalid", Detail: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return Problem{Status: 504, Code: "timeout", Detail: "This took too long. Try again."}
	case errors.As(err, &routed):
		return fromRouter(routed)
	}
	return Problem{Status: 500, Code: "internal", Detail: "Something went wrong on the server. The operator finds it in the log by the request id."}
}

func fromRouter(err *echo.HTTPError) Problem {
	switch err.Code {
	case http.StatusNotFound:
		return Problem{Status: 404, Code: "not-found", Detail: "There is nothing at this address."}
	case http.StatusMethodNotAllowed:
		return Problem{Status: 405, Code: "method-not-allowed", Detail: "This address does not take that method. /api/v1/openapi.json lists what it takes."}
	}
	return Problem{Status: err.Code, Code: "refused", Detail: http.StatusText(err.Code)}
}

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Error answers with the problem that err is: a page for a browser that reads one, else a problem document.
func (h *Handlers) Error(err error, c echo.Context) {
	r := c.Request()
	if c.Response().Committed {
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		c.Response().Status = 499 // the client has gone (nginx's number, for the log)
		return
	}
	p := problemOf(err)
	p.RequestID = CallerOf(r).RequestID
	if p.Status >= 500 && p.Status != http.StatusServiceUnavailable {
		h.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("id", p.RequestID),
			slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if p.RetryAfter > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	if topic(r.URL.Path) == "docker" && strings.HasPrefix(r.URL.Path, sessionsPrefix) {
		err = writeJSON(c, p.Status, "application/json", dockerProblem{p, p.Detail})
	} else if wantsPage(r) {
		err = h.problemPage(c, p)
	} else {
		err = writeJSON(c, p.Status, "application/problem+json", p)
	}
	if err != nil {
		h.Log.LogAttrs(r.Context(), slog.LevelDebug, "answer not delivered", slog.Any("error", err))
	}
}

// dockerProblem is a problem as Docker's clients read it, too.
type dockerProblem struct {
	Problem
	Message string `json:"message"`
}

// wantsPage: the API always speaks JSON; elsewhere a browser gets a page.
func wantsPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}
