package dockerapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"berth/runtime/engine/dockerapi"
)

// part answers one route with h.
type part struct {
	method, path string
	h            dockerapi.HandlerFunc
}

func (p part) Routes(r *dockerapi.Router) { r.Handle(p.method, p.path, p.h) }

func ask(t *testing.T, method, target, body string, parts ...dockerapi.Part) (int, string, http.Header) {
	t.Helper()
	h := dockerapi.New(slog.New(slog.DiscardHandler), parts...)
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func ok(w http.ResponseWriter, r *http.Request) error {
	return dockerapi.JSON(w, http.StatusOK, dockerapi.Var(r, "name"))
}

func TestVersionsThatAreSpoken(t *testing.T) {
	p := part{http.MethodGet, "/images/{name:.*}/json", ok}
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/images/a/b:c/json", 200, `"a/b:c"`},
		{"/v1.51/images/busybox/json", 200, `"busybox"`},
		{"/v1.40/images/busybox/json", 200, `"busybox"`},
		{"/v1.39/images/busybox/json", 400, "too old"},
		{"/v1.99/images/busybox/json", 400, "too new"},
		{"/v1.51/nothing", 404, "page not found"},
	} {
		status, body, header := ask(t, http.MethodGet, c.path, "", p)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d with %q", c.path, status, body, c.status, c.says)
		}
		if c.status != 404 && header.Get("Api-Version") != dockerapi.Version {
			t.Errorf("%s: no API version in the answer", c.path)
		}
	}
}

func TestErrorsHaveDockersStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("No such container: x: %w", errdefs.ErrNotFound), 404},
		{dockerapi.Invalid("invalid %s", "thing"), 400},
		{dockerapi.Unsupported("HostConfig.Isolation"), 400},
		{fmt.Errorf("x: %w", errdefs.ErrConflict), 409},
		{fmt.Errorf("x: %w", errdefs.ErrAlreadyExists), 409},
		{fmt.Errorf("x: %w", errdefs.ErrNotModified), 304},
		{fmt.Errorf("x: %w", errdefs.ErrUnauthenticated), 401},
		{fmt.Errorf("x: %w", errdefs.ErrPermissionDenied), 403},
		{fmt.Errorf("x: %w", errdefs.ErrNotImplemented), 501},
		{fmt.Errorf("x: %w", errdefs.ErrUnavailable), 503},
		{errors.New("x"), 500},
	} {
		status, body, _ := ask(t, http.MethodGet, "/x", "", part{http.MethodGet, "/x", func(http.ResponseWriter, *http.Request) error { return c.err }})
		if status != c.status {
			t.Errorf("%v: status %d, want %d", c.err, status, c.status)
		}
		var answer struct{ Message string }
		if status != 304 && (json.Unmarshal([]byte(body), &answer) != nil || answer.Message != c.err.Error()) {
			t.Errorf("%v: answered %s", c.err, body)
		}
	}
	if got := dockerapi.Invalid("invalid %s", "thing").Error(); got != "invalid thing" {
		t.Errorf("the class of an error is told too: %q", got)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	status, body, _ := ask(t, http.MethodGet, "/x", "", part{http.MethodGet, "/x", func(http.ResponseWriter, *http.Request) error { panic("boom") }})
	if status != 500 || !strings.Contains(body, "boom") {
		t.Errorf("%d %s", status, body)
	}
}

func TestBodiesAreDecodedStrictly(t *testing.T) {
	decode := part{http.MethodPost, "/x", func(w http.ResponseWriter, r *http.Request) error {
		var c container.CreateRequest
		if err := dockerapi.Decode(w, r, &c); err != nil {
			return err
		}
		return dockerapi.JSON(w, http.StatusOK, c.Image)
	}}
	for _, c := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"plain", `{"Image":"busybox"}`, 200, "busybox"},
		{"case does not matter", `{"image":"busybox"}`, 200, "busybox"},
		{"empty value of an unknown key", `{"Image":"b","KernelMemory":0,"Nope":[],"N2":{},"N3":null}`, 200, "b"},
		{"unknown key", `{"Image":"b","Nope":1}`, 400, "Nope is not supported"},
		{"unknown key, deep", `{"HostConfig":{"Escape":"yes"}}`, 400, "HostConfig.Escape is not supported"},
		{"unknown key in a list", `{"HostConfig":{"Mounts":[{"Hole":true}]}}`, 400, "HostConfig.Mounts.Hole is not supported"},
		{"wrong type", `{"Image":7}`, 400, "cannot be a number"},
		{"no JSON", `{"Image"`, 400, "invalid JSON"},
		{"two values", `{"Image":"a"}{"Image":"b"}`, 400, "invalid JSON"},
		{"10 MB", `{"Image":"` + strings.Repeat("a", 10<<20) + `"}`, 413, "too large"},
	} {
		status, body, _ := ask(t, http.MethodPost, "/x", c.body, decode)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %.200s, want %d with %q", c.name, status, body, c.status, c.says)
		}
	}
}

func TestBodyMustSayThatItIsJSON(t *testing.T) {
	h := dockerapi.New(slog.New(slog.DiscardHandler), part{http.MethodPost, "/x", func(w http.ResponseWriter, r *http.Request) error {
		return dockerapi.Decode(w, r, &container.CreateRequest{})
	}})
	r := httptest.NewRequest(http.MethodPost, "/x", bytes.NewBufferString(`{"Image":"a"}`))
	r.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "must be 'application/json'") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
