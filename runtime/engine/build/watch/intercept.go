package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client/buildid"
	"github.com/moby/buildkit/frontend"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"google.golang.org/grpc"

	"berth/runtime/engine/build/record"
)

// errTooLong is why a build was ended that took too long.
var errTooLong = fmt.Errorf("the build was ended: a build in this playground may take %s at most: %w", MaxDuration, errdefs.ErrAborted)

// run is one call of Solve.
type run struct {
	watcher *Watcher
	build   *record.Build
	done    chan struct{} // closed when all is recorded

	mu       sync.Mutex
	question bool  // a client asks something of the frontend: it is no build
	frontend bool  // it has asked the frontend
	failed   error // what the frontend failed with, before it was sent anywhere
	unused   []*frontend.Result
}

type runKey struct{}

func (r *run) in(ctx context.Context) context.Context { return context.WithValue(ctx, runKey{}, r) }

func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// Unary is an interceptor of BuildKit's gRPC API: the innermost one, that sees errors as they are.
func (w *Watcher) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	switch r := req.(type) {
	case *controlapi.SolveRequest:
		if !r.Internal {
			return w.solve(ctx, r, next)
		}
	case *gatewayapi.SolveRequest: // of a client that drives the frontend by itself: buildx
		if run := w.find(buildid.FromIncomingContext(ctx)); run != nil {
			ctx = run.in(ctx)
		}
	}
	return next(ctx, req)
}

// solve watches a build from its beginning to its end.
func (w *Watcher) solve(ctx context.Context, req *controlapi.SolveRequest, next grpc.UnaryHandler) (any, error) {
	build, err := w.begin(req)
	if err != nil { // without a record: the disk may be full
		w.o.Log.Warn("a build is not recorded", "build", req.Ref, "error", err)
		return next(ctx, req)
	}
	w.states.makeRoom()
	ctx, late := context.WithTimeoutCause(ctx, MaxDuration, errTooLong)
	defer late()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	build.Cancellable(cancel)
	r := &run{watcher: w, build: build, done: make(chan struct{})}
	w.add(req.Ref, r)
	told := r.listen(ctx, req.Ref)
	answer, err := next(r.in(ctx), req)
	cause := context.Cause(ctx)
	if err != nil && errors.Is(cause, errTooLong) {
		err = errTooLong
	}
	after := context.WithoutCancel(ctx)
	r.release(after)
	w.ending.Go(func() { // the client need not wait for what it has not asked for
		told()
		r.sizes(after)
		r.end(after, answer, err, cause)
		if err != nil {
			w.tidy()
		}
		w.remove(req.Ref)
		close(r.done)
	})
	return answer, err
}

// begin finds the record of a build that the page asked for, or makes one.
func (w *Watcher) begin(req *controlapi.SolveRequest) (*record.Build, error) {
	if b, err := w.o.Records.Get(req.Ref); err == nil && b.Running() && w.find(req.Ref) == nil {
		return b, nil
	}
	about := record.About{ID: req.Ref, Source: record.FromDocker}
	for _, e := range req.Exporters {
		for name := range strings.SplitSeq(e.Attrs["name"], ",") {
			if name != "" {
				about.Tags = append(about.Tags, name)
			}
		}
	}
	describe(&about, req.FrontendAttrs)
	b, err := w.o.Records.Begin(about)
	if errdefs.IsInvalidArgument(err) || errdefs.IsAlreadyExists(err) { // the client's name is none, or was used before
		about.ID = identity.NewID()
		b, err = w.o.Records.Begin(about)
	}
	return b, err
}

// describe reads what the options of the frontend say about a build.
func describe(a *record.About, opts map[string]string) {
	for k, v := range opts {
		if name, ok := strings.CutPrefix(k, "build-arg:"); ok {
			if a.Args == nil {
				a.Args = map[string]string{}
			}
			a.Args[name] = v
			continue
		}
		switch k {
		case "filename":
			a.Dockerfile = v
		case "target":
			a.Target = v
		case "no-cache":
			a.NoCache = true
		case "context", "vcs:localdir:context":
			if a.Context == "" {
				a.Context = v
			}
		}
	}
}
