package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// upgrade asks for another protocol, by hand as Docker's client does, and returns the answer and the connection.
func (s *site) upgrade(t *testing.T, v *visitor, method, path, protocol string, headers ...string) (*http.Response, *bufio.Reader, *net.TCPConn) {
	t.Helper()
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	for _, c := range v.Jar.Cookies(at) {
		req.AddCookie(c)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, req)
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	return res, r, tcp
}

// TestDockerConnections: attach, exec and the builder take connections over; each direction ends by itself.
func TestDockerConnections(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	path := "/api/v1/sessions/" + string(c.ID) + "/docker/test/hijack"
	token := []string{"Authorization", "Bearer " + c.Token}
	for name, test := range map[string]struct {
		v        *visitor
		path     string
		protocol string
		headers  []string
		want     int
	}{
		"attach, with the token":   {s.visitor(t), path, "tcp", token, 101},
		"builder, with the token":  {s.visitor(t), path, "h2c", token, 101},
		"as root":                  {s.visitor(t), path, "tcp", []string{"Authorization", "Bearer " + s.admin(t)}, 101},
		"from our own page":        {v, path, "tcp", []string{"Origin", s.url}, 101},
		"from another page":        {v, path, "tcp", []string{"Origin", "http://evil.example"}, 403},
		"with the token from one":  {s.visitor(t), path, "tcp", append([]string{"Origin", "http://evil.example"}, token...), 403},
		"a cookie alone":           {v, path, "tcp", nil, 403},
		"another visitor":          {s.visitor(t), path, "tcp", []string{"Origin", s.url}, 404},
		"another token":            {s.visitor(t), path, "tcp", []string{"Authorization", "Bearer x"}, 404},
		"another protocol":         {s.visitor(t), path, "smtp", token, 502},
		"a port's protocol, there": {s.visitor(t), path, "berth-port", token, 502},
	} {
		t.Run(name, func(t *testing.T) {
			res, r, conn := s.upgrade(t, test.v, "POST", test.path, test.protocol, test.headers...)
			if res.StatusCode != test.want {
				t.Fatalf("%s, want %d", res.Status, test.want)
			}
			if test.want != 101 {
				return
			}
			if res.Header.Get("Upgrade") != test.protocol || res.Header.Get("Set-Cookie") != "" || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("%v", res.Header)
			}
			if _, err := io.WriteString(conn, "typed"); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, 5)
			if _, err := io.ReadFull(r, back); err != nil || string(back) != "typed" {
				t.Fatalf("%q, %v", back, err)
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r); err != nil || string(b) != "|5" {
				t.Errorf("after the end of input %q, %v; want what the program says last", b, err)
			}
		})
	}
}

// TestPortTunnel: programs reach a port with a token, as bytes.
func TestPortTunnel(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	s.Sandbox(c.ID).Listen(80, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.Path) }))
	base := "/api/v1/sessions/" + string(c.ID)
	if a := v.ask(t, "GET", base+"/ports", ""); string(a.body) != `[{"port":80,"process":"test"}]`+"\n" {
		t.Errorf("ports: %d %s", a.StatusCode, a.body)
	}
	res, r, conn := s.upgrade(t, s.visitor(t), "GET", base+"/ports/80", "berth-port", "Authorization", "Bearer "+c.Token)
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	if _, err := io.WriteString(conn, "GET /x HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(b), "\r\n\r\n/x") {
		t.Errorf("%q, %v", b, err)
	}
	if res, _, _ := s.upgrade(t, s.visitor(t), "GET", base+"/ports/81", "berth-port", "Authorization", "Bearer "+c.Token); res.StatusCode != 502 {
		t.Errorf("a port on which nothing listens: %s", res.Status)
	}
	if res, _, _ := s.upgrade(t, v, "GET", base+"/ports/80", "berth-port", "Origin", "http://80-"+string(c.ID)+".localhost"); res.StatusCode != 403 {
		t.Errorf("from the port's own page: %s", res.Status)
	}
}

// TestDockerHeadersAndErrors: what Docker's clients send and read passes; our own errors are such as they can show.
func TestDockerHeadersAndErrors(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	base := "/api/v1/sessions/" + string(c.ID)
	v.ask(t, "GET", base+"/docker/v1.51/nothing", "", "X-Registry-Auth", "e30=", "X-Docker-Expose-Session-Uuid", "1", "X-Other", "1", "Cookie", "a=b")
	seen := s.Sandbox(c.ID).Seen()
	got := seen[len(seen)-1]
	if got.Get("X-Registry-Auth") == "" || got.Get("X-Docker-Expose-Session-Uuid") == "" || got.Get("X-Other") != "" || got.Get("Cookie") != "" {
		t.Errorf("the engine was given %v", got)
	}
	if p := got.Get("X-Path"); p != "/v1/docker/v1.51/nothing" {
		t.Errorf("the engine was asked for %s", p)
	}
	v.ask(t, "GET", base+"/files/x", "", "X-Registry-Auth", "e30=")
	seen = s.Sandbox(c.ID).Seen()
	if seen[len(seen)-1].Get("X-Registry-Auth") != "" {
		t.Error("a header of Docker's went elsewhere")
	}
	a := s.visitor(t).ask(t, "GET", base+"/docker/_ping", "")
	var told struct{ Message, Detail string }
	if err := json.Unmarshal(a.body, &told); err != nil || a.StatusCode != 404 || a.Header.Get("Content-Type") != "application/json" || told.Message == "" || told.Message != told.Detail {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
}
