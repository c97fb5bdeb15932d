package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"berth/sessions"
	"berth/web"
)

// portHost is the host name of a port, with the server's own port.
func (s *site) portHost(port int, id sessions.ID) string {
	return fmt.Sprintf("%d-%s.localhost%s", port, id, s.url[strings.LastIndex(s.url, ":"):])
}

// program shows what a program behind a port is sent, and tries to get at our cookies.
func program(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		conn, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		kind, b, err := conn.ReadMessage()
		if err == nil {
			_ = conn.WriteMessage(kind, append([]byte("echo "), b...))
		}
		return
	}
	for _, c := range []string{
		"berth=stolen; Path=/", "__Host-berth=stolen; Secure; Path=/", "BERTH = stolen", "own=1; Domain=localhost; Path=/; HttpOnly", "plain=1; domain = .localhost",
	} {
		w.Header().Add("Set-Cookie", c)
	}
	w.Header().Set("Clear-Site-Data", `"cookies"`)
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("X-Request-Id", "theirs")
	w.WriteHeader(http.StatusTeapot)
	_ = r.Header.WriteSubset(w, nil)
	_, _ = fmt.Fprintf(w, "%s %s on %s", r.Method, r.RequestURI, r.Host)
}

// TestPreview: a page from a port is the program's own, in both directions, but for what is ours.
func TestPreview(t *testing.T) {
	s := newSite(t, func(c *web.Config) { c.Hosts = []string{"berth.example.org", "other.example:8443"} })
	v := s.visitor(t)
	c := v.create(t)
	s.Sandbox(c.ID).Listen(8080, http.HandlerFunc(program))
	stranger := s.visitor(t) // who was sent the link
	a := stranger.ask(t, "POST", "/a%2Fb//c?x=1;y&&", "body", "Host", s.portHost(8080, c.ID), "Cookie", "a=1; berth=mine; b=2; __Host-berth=mine",
		"Authorization", "Basic eDp5", "Origin", "http://elsewhere.example", "X-Custom", "1", "X-Forwarded-For", "6.6.6.6")
	body := string(a.body)
	if a.StatusCode != http.StatusTeapot || !strings.HasSuffix(body, "POST /a%2Fb//c?x=1;y&& on "+s.portHost(8080, c.ID)) {
		t.Errorf("%d %s", a.StatusCode, body)
	}
	for _, want := range []string{"Cookie: a=1; b=2\r\n", "Authorization: Basic eDp5", "Origin: http://elsewhere.example", "X-Custom: 1", "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Proto: http\r\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("the program was not sent %q but %s", want, body)
		}
	}
	if got := a.Header["Set-Cookie"]; len(got) != 2 || got[0] != "own=1; Path=/; HttpOnly" || got[1] != "plain=1" {
		t.Errorf("Set-Cookie %q", got)
	}
	for _, ours := range []string{"Content-Security-Policy", "X-Frame-Options", "Strict-Transport-Security", "Cross-Origin-Opener-Policy", "Clear-Site-Data", "X-Content-Type-Options"} {
		if a.Header.Get(ours) != "" {
			t.Errorf("%s: %s", ours, a.Header.Get(ours))
		}
	}
	if got := a.Header["X-Request-Id"]; len(got) != 1 || got[0] != "theirs" {
		t.Errorf("X-Request-Id %q", got)
	}
	for _, token := range []string{c.Token, s.admin(t)} {
		if a := stranger.ask(t, "GET", "/", "", "Host", s.portHost(8080, c.ID), "Authorization", "Bearer "+token); strings.Contains(string(a.body), token) {
			t.Error("the program was given a token of ours")
		}
	}
	if a := stranger.ask(t, "GET", "/", "", "Host", s.portHost(8080, c.ID), "Authorization", "Bearer theirs"); !strings.Contains(string(a.body), "Bearer theirs") {
		t.Error("the program was not given a token of its own")
	}
}

// TestPreviewHosts: the grammar of the names is strict, and what is no port's name is foreign as before.
func TestPreviewHosts(t *testing.T) {
	s := newSite(t, func(c *web.Config) { c.Hosts = []string{"berth.example.org", "other.example:8443"} })
	c := s.visitor(t).create(t)
	id := string(c.ID)
	s.Sandbox(c.ID).Listen(8080, http.HandlerFunc(program))
	v := s.visitor(t)
	for host, want := range map[string]int{
		"8080-" + id + ".localhost": 418, "8080-" + strings.ToUpper(id) + ".LOCALHOST:1234": 418, "8080-" + id + ".berth.example.org": 418,
		"8080-" + id + ".other.example:8443": 418, "8080-" + id + ".other.example": 421, "8080-" + id + ".evil.example": 421,
		"8080-" + id + ".localhost.evil.example": 421, "x.8080-" + id + ".localhost": 421, "8080-" + id: 421, "8080-" + id + ".127.0.0.1": 421,
		"08080-" + id + ".localhost": 421, "0-" + id + ".localhost": 421, "65536-" + id + ".localhost": 421, "99999-" + id + ".localhost": 421,
		"-" + id + ".localhost": 421, "8080-" + id + "x.localhost": 421, "8080--" + id + ".localhost": 421, id + ".localhost": 421, "8080.localhost": 421,
		"8081-" + id + ".localhost": 502, "8080-aaaaaaaaaaaa.localhost": 404,
	} {
		for _, path := range []string{"/", "/api/v1/sessions/" + id, "/healthz"} {
			if a := v.ask(t, "GET", path, "", "Host", host); a.StatusCode != want {
				t.Errorf("Host %q at %s: %d, want %d", host, path, a.StatusCode, want)
			}
		}
	}
	for _, h := range s.Sandbox(c.ID).Seen() {
		if !strings.HasPrefix(h.Get("X-Path"), "/v1/ports/80") {
			t.Errorf("the sandbox was asked for %s: a port's name must reach nothing else", h.Get("X-Path"))
		}
	}
}

// TestPreviewPages says what is the matter, in a page that looks again where that may help, and in nothing of ours else.
func TestPreviewPages(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	ask := func(port int, id sessions.ID) answer {
		t.Helper()
		a := v.ask(t, "GET", "/", "", "Host", s.portHost(port, id), "Accept", "text/html")
		if p := a.Header.Get("Content-Security-Policy"); a.Header.Get("Set-Cookie") != "" || !strings.HasPrefix(p, "default-src 'none'; style-src 'nonce-") {
			t.Errorf("%v", a.Header)
		}
		return a
	}
	says := func(a answer, status int, again bool, words ...string) {
		t.Helper()
		if a.StatusCode != status || strings.Contains(string(a.body), `http-equiv="refresh"`) != again {
			t.Errorf("%d, want %d; looks again must be %v: %s", a.StatusCode, status, again, a.body)
		}
		for _, w := range words {
			if !strings.Contains(string(a.body), w) {
				t.Errorf("%q is not in %s", w, a.body)
			}
		}
	}
	says(ask(8080, c.ID), 502, true, "Nothing listens on port 8080.", "docker run -p 8080:80")
	s.Sandbox(c.ID).Listen(22, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("SSH-2.0-x\r\n"))
			_ = conn.Close()
		}
	}))
	says(ask(22, c.ID), 502, false, "not HTTP")
	says(ask(80, "aaaaaaaaaaaa"), 404, false, "has ended, or there never was one")
	s.Sandbox(c.ID).Refuse(true)
	says(ask(8080, c.ID), 502, true, "did not answer")
	s.Finish(c.ID, sessions.Expired, "Its time was up.")
	says(ask(8080, c.ID), 404, false, "has ended, or there never was one")
	s.SetNewState(sessions.Starting)
	says(ask(8080, v.create(t).ID), 503, true, "starting")
	if a := v.ask(t, "GET", "/", "", "Host", s.portHost(8080, c.ID)); a.code(t) != "not-found" {
		t.Errorf("a program is told %s", a.body)
	}
}

// TestPreviewWebsocket: another origin's page may, for that is the program's to decide.
func TestPreviewWebsocket(t *testing.T) {
	s := newSite(t)
	c := s.visitor(t).create(t)
	s.Sandbox(c.ID).Listen(3000, http.HandlerFunc(program))
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
	}}
	conn, res, err := d.DialContext(t.Context(), "ws://"+s.portHost(3000, c.ID)+"/ws", http.Header{"Origin": {"http://elsewhere.example"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := conn.ReadMessage(); err != nil || string(b) != "echo hi" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPreviewStreams: what a program sends arrives at once, and its end is seen.
func TestPreviewStreams(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	next := make(chan string)
	s.Sandbox(c.ID).Listen(8080, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for word := range next {
			_, _ = w.Write([]byte(word))
			_ = http.NewResponseController(w).Flush()
		}
	}))
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = s.portHost(8080, c.ID)
	go func() { next <- "one" }()
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b := make([]byte, 16)
	for _, want := range []string{"one", "two", "three"} {
		if want != "one" {
			next <- want
		}
		if n, err := res.Body.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("got %q, %v; want %q before the next is sent", b[:n], err, want)
		}
	}
	close(next)
	if n, err := res.Body.Read(b); n != 0 || err == nil {
		t.Errorf("after the end: %q, %v", b[:n], err)
	}
}
