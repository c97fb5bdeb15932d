package web

import (
	"strings"

	"github.com/labstack/echo/v4"

	"berth/handlers"
)

// headers are on every answer. Answers of a sandbox get a stricter policy in the proxy.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		caller := handlers.CallerOf(r)
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy(r.Host, caller))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: with it, browsers send "Origin: null" with our own forms (Fetch, 3.2).
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), clipboard-read=(), clipboard-write=(self)")
		if caller.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// policy allows our own files, and style elements with this answer's nonce (xterm.js makes three). The host is written
// out for websockets, because Safari before 15.4 does not take 'self' for them; it has passed the list of hosts.
func policy(host string, caller handlers.Caller) string {
	ws := "ws://" + host
	if caller.Scheme == "https" {
		ws = "wss://" + host
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self' 'nonce-" + caller.Nonce + "'",
		"img-src 'self'",
		"connect-src 'self' " + ws,
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}
