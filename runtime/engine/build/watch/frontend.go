package watch

import (
	"context"

	bkexecutor "github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sync/errgroup"

	"berth/runtime/engine/build/record"
)

// Frontend watches the frontend of Dockerfiles.
func (w *Watcher) Frontend(inner frontend.Frontend) frontend.Frontend { return watched{inner} }

type watched struct{ frontend.Frontend }

// Solve is of frontend.Frontend. What the frontend only described is computed here, where what it leaves can be looked at:
// the caller would do so next.
func (f watched) Solve(
	ctx context.Context, llb frontend.FrontendLLBBridge, exec bkexecutor.Executor, opt map[string]string,
	inputs map[string]*pb.Definition, sid string, sm *session.Manager,
) (*frontend.Result, error) {
	r := runOf(ctx)
	if r == nil {
		return f.Frontend.Solve(ctx, llb, exec, opt, inputs, sid, sm)
	}
	question := opt["requestid"] != ""
	r.asked(opt, question)
	if question {
		return f.Frontend.Solve(ctx, llb, exec, opt, inputs, sid, sm)
	}
	b := &bridge{FrontendLLBBridge: llb, run: r, sid: sid}
	result, err := f.Frontend.Solve(ctx, b, exec, opt, inputs, sid, sm)
	if err == nil {
		err = compute(ctx, result)
	}
	b.look(ctx, result, err)
	if err != nil {
		r.fail(err, result)
		return nil, err
	}
	return result, nil
}

// compute evaluates what a frontend has described.
func compute(ctx context.Context, result *frontend.Result) error {
	if result == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	_ = result.EachRef(func(ref solver.ResultProxy) error {
		if ref != nil {
			group.Go(func() error {
				_, err := ref.Result(ctx)
				return err
			})
		}
		return nil
	})
	return group.Wait()
}

func (r *run) asked(opt map[string]string, question bool) {
	r.mu.Lock()
	first := !r.frontend
	r.frontend = true
	r.question = question && (first || r.question)
	r.mu.Unlock()
	if first && !question {
		r.build.Describe(func(a *record.About) {
			if a.Source == record.FromDocker { // of the others all is known
				describe(a, opt)
			}
		})
	}
}

// fail notes why a build fails. What it had so far is released when it is over: a client may want to look at it until then.
func (r *run) fail(err error, result *frontend.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
	if result != nil {
		r.unused = append(r.unused, result)
	}
}

// release gives up what a failed build had.
func (r *run) release(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, result := range r.unused {
		err := result.EachRef(func(ref solver.ResultProxy) error {
			if ref == nil {
				return nil
			}
			return ref.Release(ctx)
		})
		if err != nil {
			r.watcher.o.Log.Warn("release what a failed build had", "error", err)
		}
	}
	r.unused = nil
}

// bridge is what the frontend describes its steps to.
type bridge struct {
	frontend.FrontendLLBBridge
	run         *run
	sid         string
	definitions []*pb.Definition
}

// Solve is of frontend.FrontendLLBBridge.
func (b *bridge) Solve(ctx context.Context, req frontend.SolveRequest, sid string) (*frontend.Result, error) {
	if req.Definition != nil && len(req.Definition.GetSource().GetLocations()) > 0 {
		b.run.plan(req.Definition)
		b.run.mu.Lock() // one call for each platform, at the same time
		b.definitions = append(b.definitions, req.Definition)
		b.run.mu.Unlock()
	}
	return b.FrontendLLBBridge.Solve(ctx, req, sid)
}
