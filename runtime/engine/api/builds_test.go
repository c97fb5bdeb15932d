package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/api"
	"berth/runtime/engine/build/dockerfile"
	"berth/runtime/engine/build/record"
)

// recorded are builds that are only told.
type recorded struct {
	*record.Store
	checker *dockerfile.Checker
}

func (r recorded) List(context.Context) ([]record.Summary, error) { return r.Store.List(), nil }

func (r recorded) Get(_ context.Context, id string) (*record.Build, error) { return r.Store.Get(id) }

func (r recorded) Forget(_ context.Context, id string) error { return r.Store.Forget(id) }

func (r recorded) Create(_ context.Context, b api.BuildRequest) (*record.Build, error) {
	if b.Context == "/full" {
		return nil, fmt.Errorf("4 builds run: %w", errdefs.ErrResourceExhausted)
	}
	return r.Begin(record.About{ID: "made", Source: record.FromPage, Context: b.Context, Tags: b.Tags})
}

func (r recorded) Debug(_ context.Context, _, step string) (string, error) {
	if step != "sha256:1" {
		return "", fmt.Errorf("nothing is kept: %w", errdefs.ErrNotFound)
	}
	return "debug-1", nil
}

func (r recorded) Check(ctx context.Context, text []byte) (*dockerfile.Check, error) {
	return r.checker.Check(ctx, text)
}

func builds(t *testing.T) (*record.Store, string) {
	t.Helper()
	store, err := record.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer((&api.Server{Builds: recorded{store, dockerfile.NewChecker(nil)}, Log: slog.New(slog.DiscardHandler)}).Handler())
	t.Cleanup(server.Close)
	return store, server.URL
}

func TestBuildRoutes(t *testing.T) {
	_, url := builds(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/builds", "", 200, `{"builds":[]}`},
		{"GET", "/v1/builds/made", "", 404, `no build \"made\" in this session`},
		{"POST", "/v1/builds", "{", 400, "not the description of a build"},
		{"POST", "/v1/builds", `{"context":"/x","secrets":1}`, 400, "secrets"},
		{"POST", "/v1/builds", `{"context":"/full"}`, 429, `"detail":"4 builds run"`},
		{"POST", "/v1/builds", `{"context":"/x","tags":["a"]}`, 201, `"id":"made"`},
		{"GET", "/v1/builds", "", 200, `"tags":["a"]`},
		{"GET", "/v1/builds/made", "", 200, `"steps":[]`},
		{"GET", "/v1/builds/made/log", "", 200, ""},
		{"GET", "/v1/builds/made/events?after=x", "", 400, "not the number of an event"},
		{"GET", "/v1/builds/made/events?after=-1", "", 400, "not the number of an event"},
		{"DELETE", "/v1/builds/made", "", 409, "cancel it first"},
		{"POST", "/v1/builds/made/steps/sha256:1/debug", "", 201, `{"terminal":"debug-1"}`},
		{"POST", "/v1/builds/made/steps/sha256:2/debug", "", 404, "nothing is kept"},
		{"POST", "/v1/builds/made/cancel", "", 204, ""},
		{"POST", "/v1/builds/none/cancel", "", 404, "no build"},
		{"POST", "/v1/dockerfile", "FROM scratch AS A\n", 200, "StageNameCasing"},
		{"POST", "/v1/dockerfile", strings.Repeat("x", dockerfile.MaxText+1), 413, "at most 1024 KiB"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.Contains(string(text), c.says) {
			t.Errorf("%s %s: %s %s %v", c.method, c.path, res.Status, text, err)
		}
	}
}

// A follower who does not read holds neither the build nor those who do.
func TestSlowFollowerHoldsNobody(t *testing.T) {
	store, url := builds(t)
	b, err := store.Begin(record.About{ID: "one", Source: record.FromDocker})
	if err != nil {
		t.Fatal(err)
	}
	get := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/v1/builds/one/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	get() // reads nothing
	reader := get()
	step := digest.FromString("x")
	now := time.Now()
	b.Status(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: step, Name: "[1/1] RUN x", Started: &now}}})
	line := strings.Repeat("x", 1<<16) + "\n"
	for range record.MaxLog / len(line) {
		b.Status(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: step, Stream: 1, Data: []byte(line), Timestamp: now}}})
	}
	b.End(record.Outcome{State: record.Succeeded})
	text, err := io.ReadAll(reader.Body)
	if err != nil || len(text) < record.MaxLog-len(line) || !strings.HasSuffix(string(text), "event: end\ndata: {}\n\n") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
