package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"berth/sessions"
	"berth/templates"
)

// retryPort is after how long a page for a port on which nothing listens yet looks again.
const retryPort = 2 * time.Second

// PreviewRoute is what requests for ports are counted under, whatever path they have.
const PreviewRoute = "(port of a session)"

// Preview is a TCP port of a session, which a host name of its own names: PORT-ID.HOST. Whoever knows the name may use it, as
// docs/adr/0006 says; our cookies, tokens and headers take no part.
type Preview struct {
	ID   sessions.ID
	Port uint16
}

type previewKey struct{}

// previewed is what the proxy needs of one request.
type previewed struct {
	Preview
	conn  net.Conn
	taken atomic.Bool
	fail  func(error)
}

// Preview passes the request on to the port, websockets included.
func (h *Handlers) Preview(c echo.Context, p Preview) error {
	r := c.Request()
	if r.Method == http.MethodConnect {
		return refuse(http.StatusMethodNotAllowed, "method-not-allowed", "This is not a proxy to elsewhere.")
	}
	conn, err := h.dialPort(r.Context(), p.ID, p.Port)
	if err != nil {
		return proxyError(err)
	}
	c.Response().Header().Del("X-Request-Id") // the program may have its own
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxUploadBody)
	var failed error
	v := &previewed{Preview: p, conn: conn, fail: func(err error) { failed = err }}
	h.preview.ServeHTTP(finalOnly{c.Response()}, r.WithContext(context.WithValue(r.Context(), previewKey{}, v)))
	if !v.taken.Load() {
		_ = conn.Close() // never used
	}
	return failed
}

func newPreviewProxy(log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DisableKeepAlives:  true, // each request has a connection of its own, which the manager has just allowed
			DisableCompression: true,
			ReadBufferSize:     4 << 10,
			WriteBufferSize:    4 << 10,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				v, ok := ctx.Value(previewKey{}).(*previewed)
				if !ok || v.taken.Swap(true) {
					return nil, errors.New("the port's connection is gone")
				}
				return v.conn, nil
			},
		},
		FlushInterval:  -1,
		Rewrite:        toPort,
		ModifyResponse: fromPort,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			v, ok := r.Context().Value(previewKey{}).(*previewed)
			if !ok {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			v.fail(previewError(v.Port, err))
		},
	}
}

// previewError is what to tell of a port that answered, but not as HTTP.
func previewError(port uint16, err error) error {
	if errors.Is(err, context.Canceled) || problemOf(err).Status != http.StatusInternalServerError {
		return err
	}
	return &HTTPError{
		Status: http.StatusBadGateway, Code: "not-http", Err: err,
		Message: "Something listens on port " + strconv.Itoa(int(port)) + ", but what it answered is not HTTP. Does it speak another protocol, or TLS?",
	}
}

// toPort asks the program as the browser asked us, less what is ours.
func toPort(p *httputil.ProxyRequest) {
	p.Out.URL = &url.URL{
		Scheme: "http", Host: p.In.Host, Path: p.In.URL.Path, RawPath: p.In.URL.RawPath, RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery,
	}
	p.Out.Host = p.In.Host
	h := p.Out.Header
	if _, ok := p.In.Header["User-Agent"]; !ok {
		h.Set("User-Agent", "") // stops the client's default
	}
	caller := CallerOf(p.In)
	h.Set("X-Forwarded-For", caller.Address)
	h.Set("X-Forwarded-Host", p.In.Host)
	h.Set("X-Forwarded-Proto", caller.Scheme)
	h.Del("Cookie")
	for _, line := range p.In.Header["Cookie"] {
		if rest := keepCookies(line); rest != "" {
			h.Add("Cookie", rest)
		}
	}
}

// keepCookies leaves our own out of a Cookie header.
func keepCookies(line string) string {
	var kept []string
	for pair := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(pair, "=")
		if pair = strings.TrimSpace(pair); pair != "" && !ourCookie(name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}

func ourCookie(name string) bool {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "berth", "__host-berth":
		return true
	}
	return false
}

// fromPort keeps a program from setting or clearing cookies of other host names than its own, ours above all.
func fromPort(res *http.Response) error {
	res.Header.Del("Clear-Site-Data") // "cookies" clears those of the whole registrable domain
	set := res.Header["Set-Cookie"]
	res.Header.Del("Set-Cookie")
	for _, line := range set {
		if name, _, _ := strings.Cut(line, "="); !ourCookie(name) {
			res.Header.Add("Set-Cookie", hostOnly(line))
		}
	}
	return nil
}

// hostOnly leaves the attribute Domain out of a Set-Cookie header.
func hostOnly(line string) string {
	parts := strings.Split(line, ";")
	kept := parts[:1]
	for _, p := range parts[1:] {
		if name, _, _ := strings.Cut(p, "="); !strings.EqualFold(strings.TrimSpace(name), "domain") {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ";")
}

// PreviewError answers for a port that cannot be shown. The page looks again by itself where that may help. It has nothing of
// ours beside it: no files, no cookies.
func (h *Handlers) PreviewError(c echo.Context, v Preview, err error) {
	r := c.Request()
	if c.Response().Committed || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		h.Error(err, c)
		return
	}
	p := problemOf(err)
	p.RequestID = CallerOf(r).RequestID
	if errors.Is(err, sessions.ErrNotFound) || errors.Is(err, sessions.ErrEnded) {
		p.Status, p.Code, p.Detail = http.StatusNotFound, "not-found", "The session of this link has ended, or there never was one."
	}
	if errors.Is(err, sessions.ErrNotReady) {
		p.Status = http.StatusServiceUnavailable
	}
	p.Title = http.StatusText(p.Status)
	head := c.Response().Header()
	head.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		head.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		err = writeJSON(c, p.Status, "application/problem+json", p)
	} else {
		nonce := CallerOf(r).Nonce
		head.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'")
		err = render(c, p.Status, templates.PreviewPage(templates.Preview{
			Nonce: nonce, Port: int(v.Port), Code: p.Code, Detail: p.Detail, Retry: p.RetryAfter,
		}))
	}
	if err != nil {
		h.Log.LogAttrs(r.Context(), slog.LevelDebug, "answer not delivered", slog.Any("error", err))
	}
}
