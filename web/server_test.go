package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/sessions"
	"berth/web"
	"berth/web/webtest"
)

// site is a server on a port of its own, and what its tests ask it with.
type site struct {
	*webtest.Manager
	server *web.Server
	url    string
	dir    string
	stop   func()
}

func newSite(t *testing.T, change ...func(*web.Config)) *site {
	t.Helper()
	m := webtest.NewManager()
	cfg := web.Config{
		Addr: "127.0.0.1:0", DataDir: t.TempDir(), Manager: m, Log: slog.New(slog.DiscardHandler), Version: "test",
		Rate: web.Rate{PerSecond: 1e6, Burst: 1e6, CreatePerSecond: 1e6, CreateBurst: 1e6},
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		m.Close()
	}
	t.Cleanup(stop)
	return &site{Manager: m, server: s, url: s.URL(), dir: cfg.DataDir, stop: stop}
}

func (s *site) admin(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// visitor is a browser: it keeps cookies and sends the Origin of our pages.
type visitor struct {
	*http.Client
	site *site
}

func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{site: s, Client: &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type answer struct {
	*http.Response
	body []byte
}

// ask sends a request. Headers are pairs; a value of "-" leaves the header out.
func (v *visitor) ask(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.site.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", v.site.url)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i+1] == "-":
			req.Header.Del(headers[i])
		case headers[i] == "Host":
			req.Host = headers[i+1]
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res, raw}
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("answered %d as %s, not a problem: %s", a.StatusCode, kind, a.body)
	}
	var p struct {
		Code, Detail string
		Status       int
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != a.StatusCode || p.Detail == "" {
		t.Errorf("problem %s does not fit the status %d", a.body, a.StatusCode)
	}
	return p.Code
}

type created struct {
	ID    sessions.ID
	URL   string
	Token string
	State sessions.State
}

func (v *visitor) create(t *testing.T) created {
	t.Helper()
	a := v.ask(t, "POST", "/api/v1/sessions", `{"environment":"debian","lifetime":"45m"}`)
	if a.StatusCode != http.StatusCreated {
		t.Fatalf("create: %d %s", a.StatusCode, a.body)
	}
	var c created
	if err := json.Unmarshal(a.body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreateTellsTheTokenOnce(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	if c.URL != s.url+"/s/"+string(c.ID) || c.Token == "" || c.State != sessions.Ready {
		t.Errorf("created %+v", c)
	}
	a := v.ask(t, "GET", "/api/v1/sessions/"+string(c.ID), "")
	if a.StatusCode != 200 || bytes.Contains(a.body, []byte(c.Token)) || !bytes.Contains(a.body, []byte(`"expires_at"`)) {
		t.Errorf("get: %d %s", a.StatusCode, a.body)
	}
	if r := s.Requests()[0]; r.Lifetime != 45*time.Minute || len(r.Visitor) != 32 || r.Address != "127.0.0.1" || r.Admin {
		t.Errorf("asked the manager for %+v", r)
	}
	stranger := s.visitor(t)
	if a := stranger.ask(t, "GET", "/api/v1/sessions/"+string(c.ID), "", "Authorization", "Bearer "+c.Token); a.StatusCode != 200 {
		t.Errorf("with the token: %d", a.StatusCode)
	}
	if a := stranger.ask(t, "GET", "/api/v1/sessions/"+string(c.ID), "", "Authorization", "Bearer wrong"); a.StatusCode != 404 {
		t.Errorf("with a wrong token: %d", a.StatusCode)
	}
	if a := v.ask(t, "GET", "/api/v1/sessions/"+string(c.ID), "", "Authorization", "Bearer wrong"); a.StatusCode != 404 {
		t.Errorf("a wrong token with the right cookie: %d, the token alone counts", a.StatusCode)
	}
	if a := stranger.ask(t, "GET", "/api/v1/sessions/"+string(c.ID), "", "Authorization", "Bearer "+s.admin(t)); a.StatusCode != 200 {
		t.Errorf("as root on the host: %d", a.StatusCode)
	}
}

func TestFormWorksWithoutScripts(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
	a := v.ask(t, "POST", "/sessions", "environment=busybox", form...)
	to := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/s/") {
		t.Fatalf("create: %d to %q", a.StatusCode, to)
	}
	cookie := a.Header.Get("Set-Cookie")
	for _, want := range []string{"berth=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "Domain") || strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q must be of this host only, and not Secure over plain HTTP", cookie)
	}
	if a := v.ask(t, "GET", to, "", "Accept", "text/html"); a.StatusCode != 200 || !bytes.Contains(a.body, []byte("BusyBox")) {
		t.Errorf("session page: %d", a.StatusCode)
	}
	if a := v.ask(t, "GET", "/", "", "Accept", "text/html"); !bytes.Contains(a.body, []byte(`href="`+to+`"`)) {
		t.Error("the first page does not lead back to the session")
	}
	for _, step := range []string{"/extend", "/end"} {
		if a := v.ask(t, "POST", to+step, "", form...); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != to {
			t.Errorf("%s: %d %s", step, a.StatusCode, a.body)
		}
	}
	a = v.ask(t, "GET", to, "", "Accept", "text/html")
	if !bytes.Contains(a.body, []byte("You ended this session")) || !bytes.Contains(a.body, []byte("again")) {
		t.Errorf("ended page: %s", a.body)
	}
	if a := v.ask(t, "POST", "/sessions", "environment=nope", form...); a.StatusCode != 400 || !bytes.Contains(a.body, []byte("There are: debian, busybox.")) {
		t.Errorf("unknown environment: %d %s", a.StatusCode, a.body)
	}
}

func TestSecureCookieBehindTLS(t *testing.T) {
	s := newSite(t, trustLoopback)
	a := s.visitor(t).ask(t, "POST", "/api/v1/sessions", "", "X-Forwarded-Proto", "https", "Origin", strings.Replace(s.url, "http:", "https:", 1))
	if c := a.Header.Get("Set-Cookie"); a.StatusCode != 201 || !strings.HasPrefix(c, "__Host-berth=") || !strings.Contains(c, "Secure") {
		t.Errorf("%d, cookie %q", a.StatusCode, c)
	}
	if a.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security over TLS")
	}
}

func TestSecretsAreKept(t *testing.T) {
	s := newSite(t)
	first := s.admin(t)
	for _, name := range []string{"admin.token", "cookie.key"} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	cfg := web.Config{Addr: "127.0.0.1:0", DataDir: s.dir, Manager: s.Manager}
	if _, err := web.New(cfg); err != nil {
		t.Fatal(err)
	}
	if s.admin(t) != first {
		t.Error("a restart made another admin token")
	}
	if err := os.Chmod(filepath.Join(s.dir, "cookie.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := web.New(cfg); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestHandlerAloneServes(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/healthz", nil)
	s.server.Handler().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}
