package client

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"

	"berth/sessions"
)

// Docker returns a handler that passes what it is asked on to a session's Docker Engine API, hijacked connections included.
func (c *Client) Docker(id sessions.ID) http.Handler {
	base := c.url("sessions", string(id), "docker")
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableCompression: true, Protocols: new(http.Protocols), // HTTP/2 has no upgrades
	}
	transport.Protocols.SetHTTP1(true)
	return &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // the answer says it
		Rewrite: func(p *httputil.ProxyRequest) {
			to, err := url.Parse(base + p.In.URL.EscapedPath())
			if err != nil {
				to = c.base // EscapedPath is valid: it was parsed as one
			}
			to.RawQuery = p.In.URL.RawQuery
			p.Out.URL, p.Out.Host = to, to.Host
			p.Out.Header.Del("Authorization")
			if c.token != "" {
				p.Out.Header.Set("Authorization", "Bearer "+c.token)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			// Docker's clients print the message.
			_ = json.NewEncoder(w).Encode(map[string]string{"message": "no answer from the server at " + c.base.String() + ": " + err.Error()})
		},
	}
}
