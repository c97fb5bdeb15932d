package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
)

func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	c, err := client.New(s.URL+"/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "localhost:8080", "ftp://host", "http://", "http://[::1", "/path"} {
		if _, err := client.New(address, ""); err == nil || !strings.Contains(err.Error(), "not the address of a server") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct{ kind, body, want string }{
		"detail":  {"application/problem+json", `{"title":"Gone","detail":"It has ended.","code":"ended"}`, "It has ended."},
		"title":   {"application/problem+json; charset=utf-8", `{"title":"Gone"}`, "Gone"},
		"page":    {"text/html", "<html>", "the server answers 410 Gone"},
		"garbage": {"application/problem+json", "{", "the server answers 410 Gone"},
	} {
		got := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Error("no token")
			}
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := got.Get(t.Context(), "aaaaaaaaaaaa")
		if !client.IsStatus(err, http.StatusGone) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if _, err = got.Terminal(t.Context(), "aaaaaaaaaaaa", "1", terminal.ClientOptions{}); !client.IsStatus(err, http.StatusGone) {
			t.Errorf("%s: terminal: %v", name, err)
		}
	}
}

func TestIDsCannotLeaveTheirPlaceInThePath(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.EscapedPath(); got != "/api/v1/sessions/..%2F..%2Fadmin%3Fx" {
			t.Errorf("path %s", got)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.End(t.Context(), "../../admin?x"); err != nil {
		t.Fatal(err)
	}
}

// TestWaitReadyOutlivesARestart breaks the stream, refuses twice, and goes on.
func TestWaitReadyOutlivesARestart(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		state := `{"type":"session","session":{"id":"aaaaaaaaaaaa","state":"%s","queue_position":%d}}`
		switch calls {
		case 1:
			_, _ = fmt.Fprintf(w, "event: session\ndata: "+state+"\n\n", "queued", 3)
		case 2, 3:
			w.WriteHeader(http.StatusBadGateway)
		default:
			_, _ = fmt.Fprintf(w, "data:{\"type\":\"usage\"}\n\ndata: "+state+"\n\n", "ready", 0)
		}
	})
	var seen []string
	s, err := c.WaitReady(t.Context(), sessions.Session{ID: "aaaaaaaaaaaa"}, func(s sessions.Session) {
		seen = append(seen, fmt.Sprint(s.State, s.QueuePosition))
	})
	if err != nil || s.State != sessions.Ready || strings.Join(seen, " ") != "queued3 ready0" {
		t.Fatalf("got %+v, %v, seen %q", s, err, seen)
	}
}

func TestWaitReadyEndsWithItsContextAndWithTheSession(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
	})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("time is up"))
	defer cancel()
	if _, err := c.WaitReady(ctx, sessions.Session{ID: "aaaaaaaaaaaa"}, nil); err == nil || !strings.Contains(err.Error(), "time is up") {
		t.Fatalf("got %v", err)
	}
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`data: {"type":"session","session":{"state":"ended","reason":"crashed"}}` + "\n\n"))
	})
	_, err := c.WaitReady(t.Context(), sessions.Session{}, nil)
	if ended := (*client.EndedError)(nil); !errors.As(err, &ended) || ended.Session.Reason != sessions.Crashed {
		t.Fatalf("got %v", err)
	}
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	if _, err = c.WaitReady(t.Context(), sessions.Session{}, nil); !client.IsStatus(err, http.StatusNotFound) {
		t.Fatalf("got %v", err)
	}
}
