package web_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"berth/sessions"
	"berth/web"
)

func trustLoopback(c *web.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func TestHosts(t *testing.T) {
	s := newSite(t, func(c *web.Config) { c.Hosts = []string{"berth.example.org", "other.example:8443"} })
	v := s.visitor(t)
	for host, allowed := range map[string]bool{
		"localhost": true, "localhost:1": true, "LOCALHOST": true, "127.0.0.1:8080": true, "[::1]": true, "[::1]:80": true, "berth.example.org": true, "berth.example.org:80": true,
		"other.example:8443": true, "other.example": false, "other.example:80": false,
		"evil.example": false, "localhost.evil.example": false, "berth.example.org.evil.example": false, "127.0.0.2": false, "10.0.0.1": false, "x.localhost": false,
		"berth.example.org:": false, "berth.example.org:x": false, "-bad": false, "a..b": false, "localhost%2f": false, "[::1": false, "[fe80::1%25eth0]": false,
		strings.Repeat("a.", 200) + "a": false,
	} {
		for _, path := range []string{"/", "/api/v1/environments", "/nowhere"} {
			a := v.ask(t, "GET", path, "", "Host", host)
			if got := a.StatusCode != http.StatusMisdirectedRequest && a.StatusCode != http.StatusBadRequest; got != allowed {
				t.Errorf("Host %q at %s: %d, allowed must be %v", host, path, a.StatusCode, allowed)
			}
		}
	}
}

func TestHostsAreChecked(t *testing.T) {
	_, err := web.New(web.Config{Addr: "127.0.0.1:0", DataDir: t.TempDir(), Manager: newSite(t).Manager, Hosts: []string{"http://x"}})
	if err == nil || !strings.Contains(err.Error(), "berth.example.org") {
		t.Errorf("a URL as a host: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	path := "/api/v1/sessions/" + string(c.ID)
	port := s.url[strings.LastIndex(s.url, ":"):]
	foreign := []string{"null", "http://evil.example", "http://localhost", "https://localhost" + port, "http://x.localhost" + port, s.url + ".evil.example", s.url + "/", "http://user@localhost" + port, "http://127.0.0.1" + port}
	for _, origin := range foreign {
		for _, m := range [][2]string{{"POST", path + "/extend"}, {"DELETE", path}, {"POST", "/api/v1/sessions"}, {"PUT", path + "/files/x"}, {"POST", "/sessions"}} {
			if a := v.ask(t, m[0], m[1], "", "Origin", origin); a.StatusCode != 403 || a.code(t) != "origin" {
				t.Errorf("%s %s from %q: %d", m[0], m[1], origin, a.StatusCode)
			}
		}
		if status := s.dialWS(t, v, c.ID, http.Header{"Origin": {origin}}); status != 403 {
			t.Errorf("websocket from %q: %d", origin, status)
		}
		if status := s.dialWS(t, s.visitor(t), c.ID, http.Header{"Origin": {origin}, "Authorization": {"Bearer " + c.Token}}); status != 403 {
			t.Errorf("websocket with the token from %q: %d", origin, status)
		}
	}
	for name, test := range map[string]struct {
		v      *visitor
		header http.Header
		want   int
	}{
		"own page":                  {v, http.Header{"Origin": {s.url}}, 101},
		"cookie without Origin":     {v, http.Header{}, 403},
		"two Origins":               {v, http.Header{"Origin": {s.url, "http://evil.example"}}, 403},
		"token without Origin":      {s.visitor(t), http.Header{"Authorization": {"Bearer " + c.Token}}, 101},
		"wrong token":               {s.visitor(t), http.Header{"Authorization": {"Bearer nope"}}, 404},
		"other visitor, own page":   {s.visitor(t), http.Header{"Origin": {s.url}}, 404},
		"nobody, without an Origin": {s.visitor(t), http.Header{}, 404},
	} {
		if status := s.dialWS(t, test.v, c.ID, test.header); status != test.want {
			t.Errorf("websocket, %s: %d, want %d", name, status, test.want)
		}
	}
	if a := v.ask(t, "POST", path+"/extend", "", "Origin", "-"); a.StatusCode != 403 {
		t.Errorf("cookie without Origin: %d", a.StatusCode)
	}
	if a := v.ask(t, "POST", path+"/extend", "", "Origin", "-", "Sec-Fetch-Site", "same-site"); a.StatusCode != 403 {
		t.Errorf("from a sibling host: %d", a.StatusCode)
	}
	if a := v.ask(t, "POST", path+"/extend", "", "Origin", "-", "Sec-Fetch-Site", "same-origin"); a.StatusCode != 200 {
		t.Errorf("from our own page: %d", a.StatusCode)
	}
	if a := s.visitor(t).ask(t, "POST", path+"/extend", "", "Origin", "-", "Authorization", "Bearer "+c.Token); a.StatusCode != 200 {
		t.Errorf("a program with a token: %d", a.StatusCode)
	}
}

// dialWS opens a terminal's websocket as the visitor and returns the status of the answer.
func (s *site) dialWS(t *testing.T, v *visitor, id sessions.ID, h http.Header) int {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"berth.terminal.v1"}, Jar: v.Jar}
	url := strings.Replace(s.url, "http:", "ws:", 1) + "/api/v1/sessions/" + string(id) + "/terminals/1?client=test"
	conn, res, err := d.DialContext(t.Context(), url, h)
	if err == nil {
		_, m, err := conn.ReadMessage()
		if err != nil || m[0] != 2 || !bytes.Contains(m, []byte("hello")) {
			t.Errorf("first message %q, %v", m, err)
		}
		_ = conn.Close()
	}
	if res == nil {
		t.Fatalf("dial: %v", err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Every route that names a session, with the ID of somebody else's, and with what cannot be an ID.
func TestNobodyReachesOthersSessions(t *testing.T) {
	s := newSite(t)
	theirs := s.visitor(t).create(t)
	me := s.visitor(t)
	mine := me.create(t)
	e, ok := s.server.Handler().(*echo.Echo)
	if !ok {
		t.Fatal("the handler is not echo's")
	}
	asked := 0
	for _, r := range e.Routes() {
		if !strings.Contains(r.Path, ":id") {
			continue
		}
		for _, id := range []string{string(theirs.ID), "aaaaaaaaaaaa", "..%2f..%2fx", "ABC", string(theirs.ID) + "x", "%00"} {
			path := strings.NewReplacer(":id", id, "*", "x").Replace(r.Path)
			for name, headers := range map[string][]string{
				"cookie": nil, "no cookie, no token": {"Cookie", "berth=forged"},
				"another session's token": {"Authorization", "Bearer " + mine.Token},
			} {
				asked++
				if a := me.ask(t, r.Method, path, "", headers...); a.StatusCode != 404 {
					t.Errorf("%s %s with %s: %d %s", r.Method, path, name, a.StatusCode, a.body)
				}
			}
		}
	}
	if asked < 200 {
		t.Errorf("only %d requests: are the routes still there?", asked)
	}
	if got := s.Sandbox(theirs.ID).Seen(); len(got) != 0 {
		t.Errorf("%d requests reached the other's sandbox", len(got))
	}
	if a := me.ask(t, "GET", "/api/v1/sessions", ""); bytes.Contains(a.body, []byte(theirs.ID)) || !bytes.Contains(a.body, []byte(mine.ID)) {
		t.Errorf("list: %s", a.body)
	}
}

func TestBadInput(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	for name, test := range map[string]struct {
		body   string
		kind   string
		status int
		code   string
		says   string
	}{
		"unknown environment": {`{"environment":"plan9"}`, "", 400, "unknown-environment", "debian, busybox"},
		"not JSON":            {`{"environment":`, "", 400, "malformed", "ends too early"},
		"wrong syntax":        {`{environment}`, "", 400, "malformed", "byte 2"},
		"unknown field":       {`{"enviroment":"debian"}`, "", 400, "malformed", "enviroment"}, //nolint:misspell // on purpose
		"trailing garbage":    {`{"environment":"debian"} x`, "", 400, "malformed", "after"},
		"two objects":         {`{}{}`, "", 400, "malformed", "after"},
		"an array":            {`[1]`, "", 400, "malformed", "object"},
		"wrong type":          {`{"lifetime":45}`, "", 400, "malformed", "lifetime"},
		"no time":             {`{"lifetime":"soon"}`, "", 400, "lifetime", "45m"},
		"negative time":       {`{"lifetime":"-45m"}`, "", 400, "lifetime", "45m"},
		"too large":           {`{"environment":"` + strings.Repeat("x", 70_000) + `"}`, "", 413, "too-large", "65536"},
		"a form":              {"environment=debian", "application/x-www-form-urlencoded", 415, "content-type", "application/json"},
	} {
		kind := test.kind
		if kind == "" {
			kind = "application/json"
		}
		a := v.ask(t, "POST", "/api/v1/sessions", test.body, "Content-Type", kind)
		if a.StatusCode != test.status || a.code(t) != test.code || !bytes.Contains(a.body, []byte(test.says)) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := v.ask(t, "POST", "/api/v1/sessions", "", "Authorization", "Bearer nope"); a.StatusCode != 401 {
		t.Errorf("creation with a foreign token: %d", a.StatusCode)
	}
	if a := v.ask(t, "GET", "/api/v1/sessions", "", "Authorization", "Basic eDp5"); a.StatusCode != 401 {
		t.Errorf("basic authorization: %d", a.StatusCode)
	}
	if a := v.ask(t, "PATCH", "/api/v1/sessions", ""); a.StatusCode != 405 || a.code(t) != "method-not-allowed" {
		t.Errorf("unknown method: %d", a.StatusCode)
	}
	if a := v.ask(t, "GET", "/nowhere", "", "Accept", "text/html"); a.StatusCode != 404 || !bytes.Contains(a.body, []byte("<h1>")) {
		t.Errorf("unknown page: %d", a.StatusCode)
	}
	if held, err := s.List(t.Context(), sessions.Credential{Admin: true}); err != nil || len(held) != 0 {
		t.Errorf("bad input left %d sessions, %v", len(held), err)
	}
}

// One table says what an error means to HTTP; the sentence for the visitor always arrives.
func TestErrors(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	for err, want := range map[error]int{
		sessions.ErrTooMany: 429, sessions.ErrQueueFull: 503, sessions.ErrUnavailable: 503, sessions.ErrInvalid: 400,
		sessions.ErrUnknownEnvironment: 400, fmt.Errorf("disk on fire at /var/lib: %w", http.ErrBodyNotAllowed): 500,
	} {
		s.Refuse(&sessions.Error{Err: err, Message: "Say this.", RetryAfter: 1500e6})
		a := v.ask(t, "POST", "/api/v1/sessions", "")
		if a.StatusCode != want || bytes.Contains(a.body, []byte("Say this.")) != (want != 500) || bytes.Contains(a.body, []byte("fire")) {
			t.Errorf("%v: %d %s", err, a.StatusCode, a.body)
		}
		if want != 500 && a.Header.Get("Retry-After") != "2" {
			t.Errorf("%v: Retry-After %q", err, a.Header.Get("Retry-After"))
		}
		s.Refuse(err)
		if a := v.ask(t, "POST", "/api/v1/sessions", ""); a.StatusCode != want {
			t.Errorf("bare %v: %d", err, a.StatusCode)
		}
	}
}

func TestRates(t *testing.T) {
	s := newSite(t, trustLoopback, func(c *web.Config) {
		c.Rate = web.Rate{PerSecond: 0.001, Burst: 5, CreatePerSecond: 0.001, CreateBurst: 2}
	})
	v := s.visitor(t)
	count := func(address, method string, n int, headers ...string) (refused int) {
		for range n {
			a := v.ask(t, method, "/api/v1/sessions", "", append([]string{"X-Forwarded-For", address}, headers...)...)
			if a.StatusCode == 429 {
				refused++
				if a.code(t) != "rate" || a.Header.Get("Retry-After") == "" {
					t.Errorf("refusal: %s", a.body)
				}
			}
		}
		return refused
	}
	if n := count("192.0.2.1", "GET", 8); n != 3 {
		t.Errorf("%d of 8 requests refused, want 3", n)
	}
	if n := count("192.0.2.2", "POST", 4); n != 2 {
		t.Errorf("%d of 4 creations refused, want 2", n)
	}
	if n := count("2001:db8::1", "GET", 5) + count("2001:db8::2", "GET", 1); n != 1 {
		t.Errorf("two addresses of one /64 had %d refusals, want 1", n)
	}
	if n := count("1.2.3.4, 192.0.2.1", "GET", 1); n != 1 {
		t.Error("a client got round its rate by writing X-Forwarded-For itself")
	}
	if n := count("192.0.2.3", "GET", 20, "Authorization", "Bearer "+s.admin(t)); n != 0 {
		t.Errorf("root was refused %d times", n)
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/nowhere", "/api/v1/environments", "/s/aaaaaaaaaaaa"} {
		h := s.visitor(t).ask(t, "GET", path, "", "Accept", "text/html").Header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "script-src 'self';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Opener-Policy") == "" || h.Get("X-Request-Id") == "" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}
