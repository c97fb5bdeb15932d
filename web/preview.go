package web

import (
	"github.com/labstack/echo/v4"

	"berth/handlers"
	"berth/sessions"
)

// preview answers for a port of a session. Nothing of what our own pages get is applied: no identity, no headers, no check of
// the origin; the program behind the port has its own. Only the rate is.
func (s *Server) preview(c echo.Context, p handlers.Preview) error {
	c.SetPath(handlers.PreviewRoute) // the router has looked at a path that is not ours
	err := s.limited(s.stream(func(c echo.Context) error {
		s.keepTokens(c, p)
		if err := s.handlers.Preview(c, p); err != nil {
			s.handlers.PreviewError(c, p, err)
		}
		return nil
	}))(c)
	if err != nil {
		s.handlers.PreviewError(c, p, err)
	}
	return nil
}

// keepTokens takes a token that opens our own API out of the request: root's, or a session's. Others are the program's.
func (s *Server) keepTokens(c echo.Context, p handlers.Preview) {
	r := c.Request()
	token := bearer(r)
	if token == "" {
		return
	}
	_, err := s.cfg.Manager.Get(r.Context(), sessions.Credential{Token: token}, p.ID)
	if s.identity.isAdmin(token) || err == nil {
		r.Header.Del("Authorization")
	}
}
