package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWatch reads the stream as a page does, up to the most that there may be at once.
func TestWatch(t *testing.T) {
	s := serve(t).withFiles(t)
	if err := os.Mkdir(s.path("d"), 0o755); err != nil {
		t.Fatal(err)
	}
	listen := func(ctx context.Context) *bufio.Reader {
		req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v1/files/d?watch=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s %v", res.Status, res.Header)
		}
		return bufio.NewReader(res.Body)
	}
	next := func(r *bufio.Reader) string {
		var all strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if all.WriteString(line); line == "\n" {
				return all.String()
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 23 {
		next(listen(ctx))
	}
	last := listen(t.Context())
	if got := next(last); got != "event: ready\ndata: {\"kind\":\"ready\"}\n\n" {
		t.Errorf("first %q", got)
	}
	s.want(t, "GET", "/v1/files/d?watch=1", "", http.StatusTooManyRequests)
	cancel()
	s.want(t, "PUT", "/v1/files/d/"+url.PathEscape("a\nb"), "x", http.StatusNoContent)
	if got, want := next(last), "event: change\ndata: {\"kind\":\"created\",\"path\":\"/d/a\\nb\"}\n\n"; got != want {
		t.Errorf("then %q, want %q", got, want)
	}
	s.want(t, "DELETE", "/v1/files/d", "", http.StatusNoContent)
	for got := ""; !strings.HasPrefix(got, "event: gone"); {
		got = next(last)
	}
	if _, err := last.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream goes on: %v", err)
	}
	s.want(t, "GET", "/v1/files/d?watch=1", "", http.StatusNotFound)
	s.want(t, "PUT", "/v1/files/file", "x", http.StatusNoContent)
	s.want(t, "GET", "/v1/files/file?watch=1", "", http.StatusConflict)
	s.want(t, "GET", "/v1/files/?watch=1"+strings.Repeat("&also=/d", 65), "", http.StatusBadRequest)
	late := time.After(10 * time.Second)
	for { // those that were given up make room
		if res, _ := s.ask(t, "GET", "/v1/files/none?watch=1", ""); res.StatusCode == http.StatusNotFound {
			break
		}
		select {
		case <-late:
			t.Fatal("the watches that ended still count")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestRenames(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "POST", "/v1/files/d?mkdir", "", http.StatusCreated)
	s.want(t, "PUT", "/v1/files/file", "content", http.StatusNoContent)
	s.want(t, "POST", "/v1/files/file?rename="+url.QueryEscape("/d/a b\n"), "", http.StatusCreated)
	if b, err := os.ReadFile(s.path("d/a b\n")); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	s.want(t, "PUT", "/v1/files/other", "", http.StatusNoContent)
	for query, status := range map[string]int{
		"other?rename=/d": http.StatusConflict, "other?rename=x": http.StatusBadRequest, "other?rename=": http.StatusBadRequest,
		"none?rename=/x": http.StatusNotFound, "other?rename=/none/x": http.StatusNotFound, "d?rename=/d/e": http.StatusBadRequest,
		"?rename=/x": http.StatusBadRequest, "other?rename=/a%00b": http.StatusBadRequest,
	} {
		s.want(t, "POST", "/v1/files/"+query, "", status)
	}
	if log := s.log.String(); log != "" {
		t.Errorf("the visitor's mistakes are logged as ours: %s", log)
	}
}

// TestConditions: what changed meanwhile is not written over.
func TestConditions(t *testing.T) {
	s := serve(t).withFiles(t)
	put := func(name, body string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+"/v1/files/"+name, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		return res.StatusCode, res.Header.Get("ETag")
	}
	want := func(status, wanted int) {
		t.Helper()
		if status != wanted {
			t.Errorf("%d, want %d", status, wanted)
		}
	}
	status, first := put("file", "one", "If-None-Match", "*")
	want(status, http.StatusNoContent)
	status, second := put("file", "two", "If-Match", `"x", `+first)
	want(status, http.StatusNoContent)
	status, _ = put("file", "three", "If-Match", first)
	want(status, http.StatusPreconditionFailed)
	status, _ = put("file", "three", "If-Match", "W/"+second)
	want(status, http.StatusPreconditionFailed)
	status, _ = put("file", "three", "If-None-Match", "*")
	want(status, http.StatusPreconditionFailed)
	status, _ = put("none", "three", "If-Match", "*")
	want(status, http.StatusPreconditionFailed)
	res, body := s.ask(t, "GET", "/v1/files/file", "")
	if body != "two" || res.Header.Get("ETag") != second {
		t.Errorf("%q %s, want %s", body, res.Header.Get("ETag"), second)
	}
	if err := os.WriteFile(s.path("file"), []byte("the shell's"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _ = put("file", "three", "If-Match", second)
	want(status, http.StatusPreconditionFailed)
	for i := range 7 {
		want(first0(put(fmt.Sprintf("n%d", i), "")), http.StatusNoContent)
	}
	if got := s.want(t, "GET", "/v1/files/?limit=2&after=n1", "", http.StatusOK); !strings.Contains(got, `"n2"`) || !strings.Contains(got, `"n3"`) || strings.Contains(got, `"n4"`) || strings.Contains(got, `"n1"`) {
		t.Errorf("a page is %s", got)
	}
	s.want(t, "GET", "/v1/files/?limit=0", "", http.StatusBadRequest)
}

func first0(status int, _ string) int { return status }
