package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"

	"berth/handlers"
)

// sameOrigin refuses what another site's page sends in the visitor's name: unsafe methods, and websockets, which no
// browser rule keeps apart. Sibling host names are other origins, too: SameSite cookies do not keep them out.
func (s *Server) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		r := c.Request()
		if !isUpgrade(r) && isSafe(r.Method) {
			return next(c)
		}
		caller := handlers.CallerOf(r)
		origins := r.Header.Values("Origin")
		switch {
		case len(origins) == 0 && (caller.Admin || caller.Token != ""):
			return next(c) // a program with a token, not a page
		case len(origins) == 0 && caller.Visitor != "" && (isUpgrade(r) || r.Header.Get("Sec-Fetch-Site") == ""):
			return foreign("The request has a visitor's cookie but no Origin. Send the header Origin, or a bearer token instead of the cookie.")
		case len(origins) > 1 || len(origins) == 1 && origins[0] != caller.Scheme+"://"+r.Host:
			return foreign("The request comes from a page of another site, which may not act for you here.")
		}
		if err := protection.Check(r); err != nil {
			return foreign("The request comes from a page of another site, which may not act for you here.")
		}
		return next(c)
	}
}

func foreign(message string) error {
	return &handlers.HTTPError{Status: http.StatusForbidden, Code: "origin", Message: message}
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" && httpguts.HeaderValuesContainsToken(r.Header.Values("Connection"), "upgrade") ||
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
