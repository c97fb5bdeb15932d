package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"berth/handlers"
)

// proxies are the peers that may speak for others.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client is the address that the request comes from and the scheme it came by. X-Forwarded-For is read from its end:
// what a trusted proxy has added is true, what stands before the first untrusted address anybody may have written.
func (p proxies) client(r *http.Request) (netip.Addr, string) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	peer := parseAddr(r.RemoteAddr)
	if !p.trust(peer) {
		return peer, scheme
	}
	if s := r.Header.Get("X-Forwarded-Proto"); s == "http" || s == "https" {
		scheme = s
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(said) - 1; i >= 0 && p.trust(peer); i-- {
		next := parseAddr(strings.TrimSpace(said[i]))
		if !next.IsValid() {
			break
		}
		peer = next
	}
	return peer, scheme
}

// parseAddr reads an address with or without a port; the zero Addr where there is none.
func parseAddr(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// describe gives the request its caller: address, scheme, request id and the answer's nonce.
func (s *Server) describe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		addr, scheme := s.proxies.client(c.Request())
		caller := handlers.Caller{Address: addr.String(), Scheme: scheme, RequestID: rand.Text()[:16], Nonce: rand.Text()}
		c.SetRequest(handlers.WithCaller(c.Request(), caller))
		c.Response().Header().Set("X-Request-Id", caller.RequestID)
		return next(c)
	}
}

// logged writes one line per request and counts it. Paths hold no secret: tokens travel in headers only.
func (s *Server) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		r, status := c.Request(), c.Response().Status
		streamed := isUpgrade(r) || strings.HasPrefix(c.Response().Header().Get("Content-Type"), "text/event-stream")
		if isUpgrade(r) && !c.Response().Committed && status == http.StatusOK {
			status = http.StatusSwitchingProtocols // written past echo, on the hijacked connection
		}
		took := time.Since(start)
		if !streamed {
			s.handlers.Observe(r.Method, c.Path(), status, took)
		}
		level := slog.LevelInfo
		if p := c.Path(); p == handlers.PreviewRoute || p == handlers.PortsRoute || p == "/healthz" || p == "/readyz" || p == "/metrics" || strings.HasPrefix(p, "/static/") {
			level = slog.LevelDebug
		}
		caller := handlers.CallerOf(r)
		s.cfg.Log.LogAttrs(r.Context(), level, "request", slog.String("id", caller.RequestID), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", status), slog.Duration("took", took),
			slog.Int64("bytes", c.Response().Size), slog.String("address", caller.Address))
		return nil
	}
}

// recovered turns a panic into a 500 with its stack in the log. http.ErrAbortHandler is how a proxy gives up: it passes.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(v)
			}
			s.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelError, "panic", slog.Any("value", v), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", v)
		}()
		return next(c)
	}
}
