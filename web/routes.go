package web

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// routes builds the router. The order of the middleware is the order of the questions: who are you speaking for, may the
// server be asked under this name, how often, who are you, from where does the page come that sent you.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(s.describe, s.logged, s.recovered, s.hostAllowed, s.headers, s.limited, s.identified, s.sameOrigin)
	s.handlers.Register(e, s.stream)
	return e
}

// stream gives the answer all the time it needs, and ends the request when the server begins to shut down: event streams
// and websockets would otherwise hold it up.
func (s *Server) stream(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Time{}) // a writer without deadlines is a test's
		if s.streams == nil {                                                      // Handler without Serve
			return next(c)
		}
		ctx, cancel := context.WithCancel(c.Request().Context())
		defer cancel()
		defer context.AfterFunc(s.streams, cancel)()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}
