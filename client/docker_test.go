package client_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestDocker: the session's Docker API is asked for with the token, and connections are handed over with both their halves.
func TestDocker(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.RequestURI(); got != "/api/v1/sessions/aaaaaaaaaaaa/docker/v1.51/images/a%2Fb/json?x=1;y" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked for %s as %q", got, r.Header.Get("Authorization"))
		}
		if r.Header.Get("Upgrade") != "tcp" {
			_, _ = fmt.Fprint(w, "plain")
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		b, _ := io.ReadAll(buffered)
		_, _ = fmt.Fprintf(conn, "read %s", b)
	})
	s := httptest.NewServer(c.Docker("aaaaaaaaaaaa"))
	defer s.Close()
	const path = "/v1.51/images/a%2Fb/json?x=1;y"
	res, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != "plain" {
		t.Errorf("%s %s", res.Status, b)
	}
	_ = res.Body.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nAuthorization: Bearer other\r\n\r\n", path)
	r := bufio.NewReader(conn)
	if res, err = http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	_, _ = io.WriteString(conn, "input")
	_ = conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(r); err != nil || string(b) != "read input" {
		t.Errorf("%q, %v", b, err)
	}
}
