package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"berth/sessions"
)

// stream is an answer over a websocket.
type stream struct {
	*websocket.Conn
	status int
	kind   string
}

func (s *site) dialStream(t *testing.T, v *visitor, path string) (*stream, int) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"berth.stream.v1"}, Jar: v.Jar}
	conn, res, err := d.DialContext(t.Context(), strings.Replace(s.url, "http:", "ws:", 1)+path, http.Header{"Origin": {s.url}})
	if res == nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err != nil {
		return nil, res.StatusCode
	}
	t.Cleanup(func() { _ = conn.Close() })
	kind, head, err := conn.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		t.Fatalf("head %d %q, %v", kind, head, err)
	}
	var h struct {
		Status int
		Type   string
	}
	if err := json.Unmarshal(head, &h); err != nil {
		t.Fatal(err)
	}
	return &stream{conn, h.Status, h.Type}, res.StatusCode
}

// rest reads to the end, and says how it closed.
func (s *stream) rest(t *testing.T) (string, int) {
	t.Helper()
	var all []byte
	for {
		_, b, err := s.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return string(all), closed.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
		if err := s.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(len(b)))); err != nil && !errors.Is(err, websocket.ErrCloseSent) {
			t.Fatal(err)
		}
	}
}

// TestStreams: what stays open, over websockets, says what it says over HTTP.
func TestStreams(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	base := "/api/v1/sessions/" + string(c.ID)
	events, _ := s.dialStream(t, v, base+"/events")
	if events.status != 200 || events.kind != "text/event-stream" {
		t.Errorf("%d %q", events.status, events.kind)
	}
	_, first, err := events.ReadMessage()
	if err != nil || !strings.HasPrefix(string(first), "id: 1\nevent: session\ndata: {") {
		t.Errorf("%q, %v", first, err)
	}
	missing, _ := s.dialStream(t, v, base+"/docker/containers/none/json")
	if body, code := missing.rest(t); missing.status != 404 || !strings.Contains(body, "No such container") || code != websocket.CloseNormalClosure {
		t.Errorf("%d %q, closed with %d", missing.status, body, code)
	}
	foreign, _ := s.dialStream(t, s.visitor(t), base+"/events")
	if body, _ := foreign.rest(t); foreign.status != 404 || strings.Contains(body, "ready") {
		t.Errorf("somebody else's events: %d %q", foreign.status, body)
	}
	s.Finish(c.ID, sessions.Idle, "Nobody was here.")
	if body, code := events.rest(t); !strings.Contains(body, "Nobody was here.") || code != websocket.CloseNormalClosure {
		t.Errorf("the end: %q, closed with %d", body, code)
	}
}

// TestStreamsWait: a client that does not read holds the sandbox up, and gets all of it when it does.
func TestStreamsWait(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	c := v.create(t)
	const size, window = 5<<20 + 3, 1 << 20
	large := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	if err := os.WriteFile(filepath.Join(s.Sandbox(c.ID).Dir(), "root/large"), []byte(large), 0o644); err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/sessions/" + string(c.ID) + "/files/root/large"
	st, _ := s.dialStream(t, v, path)
	got := 0
	for got < window {
		_, b, err := st.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		got += len(b)
	}
	if err := st.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, b, err := st.ReadMessage(); err == nil || got != window {
		t.Errorf("%d bytes without a word, then %d more", got, len(b))
	}
	again, _ := s.dialStream(t, v, path)
	if body, code := again.rest(t); body != large || code != websocket.CloseNormalClosure {
		t.Errorf("%d bytes of %d, closed with %d", len(body), size, code)
	}
	for _, word := range []string{"-1", "x", "1000000", strings.Repeat("1", 40)} { // it was sent less
		liar, _ := s.dialStream(t, v, "/api/v1/sessions/"+string(c.ID)+"/events")
		if err := liar.WriteMessage(websocket.TextMessage, []byte(word)); err != nil {
			t.Fatal(err)
		}
		if err := liar.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); err == nil; {
			if _, _, err = liar.ReadMessage(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %q it goes on", word)
			}
		}
	}
}
