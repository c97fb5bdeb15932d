package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"
)

// What passes between a visitor and their sandbox. Both sides may be hostile to the other: our cookies and tokens never
// reach a sandbox, and what a sandbox answers must not act on our origin.
func reachesSandbox(header string) bool {
	switch header {
	case "Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Range",
		"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Last-Event-Id",
		"Sec-Websocket-Extensions", "Sec-Websocket-Key", "Sec-Websocket-Protocol", "Sec-Websocket-Version",
		"Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

func reachesVisitor(header string) bool {
	switch header {
	case "Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
		"Date", "Etag", "Last-Modified", "Retry-After",
		"Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol",
		"Connection", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// ofDocker are the further headers, in both directions, of the Docker API.
func ofDocker(header string) bool {
	switch header {
	case "Api-Version", "Builder-Version", "Docker-Experimental", "Ostype", "Server", "Swarm":
		return true
	}
	return strings.HasPrefix(header, "X-Docker-") || strings.HasPrefix(header, "X-Registry-")
}

// topic is the part of the sandbox API that a path below /api/v1/sessions/ID names: "files", "docker", …
func topic(path string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path, sessionsPrefix), "/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// switches reports whether a connection may become one of this protocol. No browser lets a page ask for others than websocket.
func switches(topic, protocol string) bool {
	switch protocol {
	case "websocket":
		return true
	case "tcp", "h2c": // attach and exec; the builder
		return topic == "docker"
	case portProtocol:
		return topic == "ports"
	}
	return false
}

func keepOnly(h http.Header, topic string, reaches func(string) bool) {
	for n := range h {
		if !reaches(n) && (topic != "docker" || !ofDocker(n)) {
			h.Del(n)
		}
	}
}

type sandboxProxy struct {
	*httputil.ReverseProxy
}

const sessionsPrefix = "/api/v1/sessions/"

type (
	dialledKey struct{}
	topicKey   struct{}
)

// dialled is the connection of one request, which the transport takes instead of dialling itself.
type dialled struct {
	conn  net.Conn
	taken atomic.Bool
}

func newSandboxProxy(h *Handlers) *sandboxProxy {
	return &sandboxProxy{ReverseProxy: &httputil.ReverseProxy{
		// Without keep-alives every request has a connection that the manager has just allowed.
		Transport: &http.Transport{
			DisableKeepAlives:  true,
			DisableCompression: true,
			ReadBufferSize:     4 << 10,
			WriteBufferSize:    4 << 10,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				d, ok := ctx.Value(dialledKey{}).(*dialled)
				if !ok || d.taken.Swap(true) {
					return nil, errors.New("the sandbox's connection is gone")
				}
				return d.conn, nil
			},
		},
		FlushInterval:  -1,
		Rewrite:        rewrite,
		ModifyResponse: defuse,
		ErrorLog:       slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			c, ok := r.Context().Value(echoKey{}).(echo.Context)
			if !ok {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			h.Error(proxyError(err), c) //nolint:contextcheck // c has the request with its context
		},
	}}
}

type echoKey struct{}

// finalOnly drops interim answers of a sandbox (100 Continue, 103): the server sends its own, and echo would take the
// first one for the answer.
type finalOnly struct{ *echo.Response }

func (w finalOnly) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.Response.WriteHeader(status)
	}
}

// sandbox passes /api/v1/sessions/ID/X to /v1/X of the session's sandbox, websockets included.
func (h *Handlers) sandbox(c echo.Context) error {
	id, err := sessionID(c)
	if err != nil {
		return err
	}
	r := c.Request()
	if err := notAsCode(r); err != nil {
		return err
	}
	if p := r.URL.Path; strings.TrimSuffix(p, "/") != path.Clean(p) {
		return refuse(http.StatusBadRequest, "path", "Write the path without empty parts, . and .. in it.")
	}
	conn, err := h.Manager.Dial(r.Context(), CallerOf(r).Credential(), id)
	if err != nil {
		return proxyError(err)
	}
	c.Response().Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	d := &dialled{conn: conn}
	defer func() {
		if !d.taken.Load() {
			_ = conn.Close() // never used
		}
	}()
	most := int64(maxUploadBody)
	if strings.HasSuffix(r.URL.Path, "/exec") {
		most = maxExecBody
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
	ctx := context.WithValue(context.WithValue(r.Context(), dialledKey{}, d), echoKey{}, c)
	ctx = context.WithValue(ctx, topicKey{}, topic(r.URL.Path))
	h.proxy.ServeHTTP(finalOnly{c.Response()}, r.WithContext(ctx))
	return nil
}

// notAsCode refuses what a sandbox serves as a script, style or worker of our own pages: it would run on our origin.
func notAsCode(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "empty", "document", "websocket", "image", "audio", "video":
		return nil
	}
	return refuse(http.StatusForbidden, "not-code", "Files of a session cannot be used as parts of a page. Download them instead.")
}

func rewrite(p *httputil.ProxyRequest) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(p.In.URL.EscapedPath(), sessionsPrefix), "/")
	if rest == "files" {
		rest = "files/" // else the sandbox would redirect there
	}
	target := &url.URL{Scheme: "http", Host: "sandbox", RawQuery: p.In.URL.RawQuery}
	escaped := "/v1/" + rest
	if plain, err := url.PathUnescape(escaped); err == nil {
		target.Path, target.RawPath = plain, escaped
	}
	p.Out.URL, p.Out.Host = target, "sandbox"
	keepOnly(p.Out.Header, topic(p.In.URL.Path), reachesSandbox)
	p.Out.Header.Set("User-Agent", "") // stops the client's default
}

// defuse keeps only headers that cannot act on our origin, and has the browser treat the content as data.
func defuse(res *http.Response) error {
	about, _ := res.Request.Context().Value(topicKey{}).(string)
	keepOnly(res.Header, about, reachesVisitor)
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !switches(about, strings.ToLower(res.Header.Get("Upgrade"))) {
			return fmt.Errorf("%w: the sandbox switched to another protocol", errBadSandbox)
		}
		return nil
	}
	if res.StatusCode >= 300 && res.StatusCode < 400 && res.StatusCode != http.StatusNotModified {
		return fmt.Errorf("%w: it answered %d", errBadSandbox, res.StatusCode)
	}
	res.Header.Set("Cache-Control", "no-store")
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if kind != "application/json" && kind != "application/problem+json" && res.Header.Get("Content-Disposition") == "" {
		res.Header.Set("Content-Disposition", "attachment")
	}
	return nil
}

var errBadSandbox = errors.New("the sandbox's answer cannot be passed on")

// proxyError keeps the errors that say something to the visitor; any other is the sandbox's silence.
func proxyError(err error) error {
	if errors.Is(err, context.Canceled) || problemOf(err).Status != http.StatusInternalServerError {
		return err
	}
	return &HTTPError{
		Status: http.StatusBadGateway, Code: "sandbox", Err: err, Retry: retryNotReady,
		Message: "The session's machine did not answer. It may be ending; look at its state and try again.",
	}
}
