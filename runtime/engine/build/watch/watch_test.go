package watch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth/runtime/engine/build/record"
	"berth/runtime/engine/build/watch"
)

// control tells of every build that one step begins, and ends with it.
type control struct{ over chan struct{} }

func (c control) Status(_ *controlapi.StatusRequest, out controlapi.Control_StatusServer) error {
	now := time.Now()
	s := client.SolveStatus{Vertexes: []*client.Vertex{{Digest: digest.FromString("x"), Name: "[1/1] RUN x", Started: &now}}}
	for _, m := range s.Marshal() {
		if err := out.SendMsg(m); err != nil {
			return err
		}
	}
	select {
	case <-c.over:
	case <-out.Context().Done():
	}
	return nil
}

type world struct {
	*watch.Watcher
	records *record.Store
	over    chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	records, err := record.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{watch.New(watch.Options{Records: records}), records, make(chan struct{})}
	w.Attach(t.Context(), control{w.over}, func(context.Context) error { return nil })
	return w
}

// solve is a call of a client, which the solver answers so.
func (w *world) solve(ctx context.Context, req *controlapi.SolveRequest, answer grpc.UnaryHandler) error {
	_, err := w.Unary(ctx, req, nil, answer)
	w.Settle(req.Ref)
	return err
}

func (w *world) only(t *testing.T) record.Whole {
	t.Helper()
	list := w.records.List()
	if len(list) != 1 {
		t.Fatalf("%d builds: %+v", len(list), list)
	}
	b, err := w.records.Get(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := b.Whole()
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func TestBuildIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		err := w.solve(t.Context(), &controlapi.SolveRequest{
			Ref: "abc", Frontend: "dockerfile.v0", FrontendAttrs: map[string]string{"target": "t", "build-arg:A": "1"},
			Exporters: []*controlapi.Exporter{{Type: "moby", Attrs: map[string]string{"name": "a:1,b:2"}}},
		}, func(context.Context, any) (any, error) {
			synctest.Wait()
			close(w.over)
			return &controlapi.SolveResponse{ExporterResponse: map[string]string{"containerimage.config.digest": "sha256:1"}}, nil
		})
		b := w.only(t)
		if err != nil || b.ID != "abc" || b.State != record.Succeeded || b.Source != record.FromDocker || strings.Join(b.Tags, " ") != "a:1 b:2" ||
			b.Target != "t" || b.Args["A"] != "1" || b.Image != "sha256:1" || len(b.Steps) != 1 || b.Steps[0].State != record.Succeeded {
			t.Errorf("%v, %+v", err, b)
		}
		w.Close()
	})
}

func TestBuildThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		err := w.solve(t.Context(), &controlapi.SolveRequest{Ref: "abc"}, func(ctx context.Context, _ any) (any, error) {
			<-ctx.Done() // a step that never ends
			close(w.over)
			return nil, status.Error(codes.Canceled, "context canceled")
		})
		b := w.only(t)
		if took := time.Since(began); took != watch.MaxDuration || err == nil || !strings.Contains(err.Error(), "may take 1h0m0s at most") {
			t.Errorf("after %s: %v", took, err)
		}
		if b.State != record.Failed || b.Error == nil || !strings.Contains(b.Error.Message, "may take 1h0m0s at most") || b.Steps[0].State != record.Cancelled {
			t.Errorf("%+v %+v", b, b.Error)
		}
		w.Close()
	})
}

func TestBuildThatIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		err := w.solve(t.Context(), &controlapi.SolveRequest{Ref: "abc"}, func(ctx context.Context, _ any) (any, error) {
			synctest.Wait()
			b, err := w.records.Get("abc")
			if err != nil {
				return nil, err
			}
			if err := b.Cancel(); err != nil {
				return nil, err
			}
			<-ctx.Done()
			close(w.over)
			return nil, context.Cause(ctx)
		})
		if b := w.only(t); err == nil || b.State != record.Cancelled || b.Error != nil || b.Steps[0].State != record.Cancelled {
			t.Errorf("%v, %+v", err, b)
		}
		w.Close()
	})
}

// The page's builds are recorded where they were begun; a client's names of builds are only taken as far as they can be.
func TestNamesOfBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		close(w.over)
		failing := func(context.Context, any) (any, error) { return nil, errors.New("failed to solve: no") }
		if _, err := w.records.Begin(record.About{ID: "page", Source: record.FromPage}); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{"page", "page", "../../etc", ""} {
			if err := w.solve(t.Context(), &controlapi.SolveRequest{Ref: ref}, failing); err == nil {
				t.Error("the error is lost")
			}
		}
		list := w.records.List()
		if len(list) != 4 {
			t.Fatalf("%d builds", len(list))
		}
		for i, s := range list {
			if s.State != record.Failed || s.Error.Message != "no" || (s.ID == "page") != (i == 3) || (s.Source == record.FromPage) != (i == 3) {
				t.Errorf("%d: %+v %+v", i, s, s.Error)
			}
		}
		if err := w.solve(t.Context(), &controlapi.SolveRequest{Ref: "inside", Internal: true}, failing); err == nil || len(w.records.List()) != 4 {
			t.Error("BuildKit's own work is recorded")
		}
		w.Close()
	})
}

func TestTerminalWhereNothingIsKept(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.States().Terminal("abc", "sha256:1"); err == nil || !strings.Contains(err.Error(), "nothing is kept") {
		t.Errorf("%v", err)
	}
	w.Close()
}
