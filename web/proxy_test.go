package web_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"berth/quotas"
	"berth/sessions"
)

func TestProxyKeepsSecretsAndOriginsApart(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	base := "/api/v1/sessions/" + string(c.ID)
	a := v.ask(t, "GET", base+"/files/a%2Fb%20c/index.html?x=1&y=%2F", "", "Referer", s.url+"/secret", "X-Forwarded-For", "1.2.3.4", "X-Custom", "1")
	if a.StatusCode != 200 || a.Header.Get("Set-Cookie") != "" || a.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if p := a.Header.Values("Content-Security-Policy"); len(p) != 1 || !strings.HasPrefix(p[0], "sandbox;") || a.Header.Get("Content-Disposition") != "attachment" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a page from a sandbox would run on our origin: %v", a.Header)
	}
	got := s.Sandbox(c.ID).Seen()[0]
	for _, name := range []string{"Cookie", "Authorization", "Origin", "Referer", "X-Forwarded-For", "X-Custom"} {
		if got.Get(name) != "" {
			t.Errorf("the sandbox was told %s: %s", name, got.Get(name))
		}
	}
	if got.Get("X-Host") != "sandbox" {
		t.Errorf("the sandbox was asked under %q", got.Get("X-Host"))
	}
	v.ask(t, "GET", base+"/terminals", "", "Authorization", "Bearer "+c.Token)
	if last := s.Sandbox(c.ID).Seen(); last[len(last)-1].Get("Authorization") != "" || last[len(last)-1].Get("X-Path") != "/v1/terminals" {
		t.Errorf("the sandbox was given %v", last[len(last)-1])
	}
	if a := v.ask(t, "GET", base+"/files", ""); a.StatusCode != 200 {
		t.Errorf("the root directory: %d", a.StatusCode)
	}
	for _, dest := range []string{"script", "serviceworker", "worker", "style", "iframe", "object"} {
		if a := v.ask(t, "GET", base+"/files/x.js", "", "Sec-Fetch-Dest", dest); a.StatusCode != 403 {
			t.Errorf("a file as %s: %d", dest, a.StatusCode)
		}
	}
	if a := v.ask(t, "GET", base+"/files/away", ""); a.StatusCode != 502 || a.Header.Get("Location") != "" {
		t.Errorf("a redirect from the sandbox: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	for _, path := range []string{"/files/a/%2e%2e/b", "/files/../../x", "/files//a", "/files/./a"} {
		if a := v.ask(t, "GET", base+path, ""); a.StatusCode != 400 && a.StatusCode != 404 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if a := v.ask(t, "GET", base+"/files/early", ""); a.StatusCode != 204 {
		t.Errorf("an answer after interim ones: %d, want 204", a.StatusCode)
	}
	big := strings.Repeat("x", 1<<20)
	if a := v.ask(t, "PUT", base+"/files/big", big); a.StatusCode != 200 || string(a.body) != big {
		t.Errorf("an upload of 1 MiB came back as %d with %d bytes", a.StatusCode, len(a.body))
	}
	if a := v.ask(t, "POST", base+"/exec", `{"cmd":["uname"],"stdin":"`+strings.Repeat("x", 17<<20)+`"}`); a.StatusCode != 413 || a.code(t) != "too-large" {
		t.Errorf("an exec of 17 MiB: %d", a.StatusCode)
	}
	s.Sandbox(c.ID).Refuse(true)
	if a := v.ask(t, "GET", base+"/terminals", ""); a.StatusCode != 502 || a.code(t) != "sandbox" {
		t.Errorf("a sandbox that does not answer: %d", a.StatusCode)
	}
}

func TestProxyBeforeAndAfterALife(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	s.SetNewState(sessions.Starting)
	c := v.create(t)
	path := "/api/v1/sessions/" + string(c.ID) + "/terminals"
	if a := v.ask(t, "GET", path, ""); a.StatusCode != 409 || a.code(t) != "not-ready" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("starting: %d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
	}
	if status := s.dialWS(t, v, c.ID, http.Header{"Origin": {s.url}}); status != 409 {
		t.Errorf("websocket while starting: %d", status)
	}
	s.Finish(c.ID, sessions.Expired, "")
	if a := v.ask(t, "GET", path, ""); a.StatusCode != 410 || a.code(t) != "ended" {
		t.Errorf("ended: %d", a.StatusCode)
	}
}

// A websocket through the proxy carries what either side sends, and garbage ends nothing but itself.
func TestWebsocketPassesThrough(t *testing.T) {
	s := newSite(t)
	c := s.visitor(t).create(t)
	d := websocket.Dialer{Subprotocols: []string{"berth.terminal.v1"}}
	url := strings.Replace(s.url, "http:", "ws:", 1) + "/api/v1/sessions/" + string(c.ID) + "/terminals/1?client=a"
	conn, res, err := d.DialContext(t.Context(), url, http.Header{"Authorization": {"Bearer " + c.Token}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer func() { _ = conn.Close() }()
	if conn.Subprotocol() != "berth.terminal.v1" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, "echo hi\r"...)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var out bytes.Buffer
	for !strings.Contains(out.String(), "\r\nhi\r\n") {
		_, m, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("%v after %q", err, out.String())
		}
		if m[0] == 1 {
			out.Write(m[9:])
		}
	}
	if err := conn.NetConn().SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.NetConn().Write(bytes.Repeat([]byte{0xff}, 4096)); err != nil {
		t.Fatal(err)
	}
	if a := s.visitor(t).ask(t, "GET", "/healthz", ""); a.StatusCode != 200 {
		t.Errorf("after garbage: %d", a.StatusCode)
	}
}

func TestEventsStream(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/sessions/"+string(c.ID)+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		var all []string
		for lines.Scan() && lines.Text() != "" {
			all = append(all, lines.Text())
		}
		return strings.Join(all, "\n")
	}
	if got := next(); !strings.HasPrefix(got, "id: 1\nevent: session\ndata: {") || !strings.Contains(got, `"state":"ready"`) {
		t.Errorf("first event %q", got)
	}
	s.Publish(c.ID, sessions.Event{Type: sessions.EventUsage, Usage: &quotas.Usage{MemoryBytes: 42}})
	if got := next(); !strings.HasPrefix(got, "id: 2\nevent: usage\n") || !strings.Contains(got, `"memory_bytes":42`) {
		t.Errorf("second event %q", got)
	}
	s.Finish(c.ID, sessions.Idle, "Nobody was here.")
	if got := next(); !strings.Contains(got, `"state":"ended"`) || !strings.Contains(got, "Nobody was here.") {
		t.Errorf("last event %q", got)
	}
	if lines.Scan() {
		t.Errorf("the stream goes on after the end: %q", lines.Text())
	}
}

// Streams and websockets do not hold a shutdown up, and everybody has left when Serve returns.
func TestShutdownEndsStreams(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/sessions/"+string(c.ID)+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	url := strings.Replace(s.url, "http:", "ws:", 1) + "/api/v1/sessions/" + string(c.ID) + "/terminals/1"
	conn, wsRes, err := websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"Authorization": {"Bearer " + c.Token}})
	if err != nil {
		t.Fatal(err)
	}
	_ = wsRes.Body.Close()
	defer func() { _ = conn.Close() }()
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	if strings.Contains(err.Error(), "timeout") {
		t.Error("the websocket outlived the server")
	}
}
