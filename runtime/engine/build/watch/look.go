package watch

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/solver"
	bkerrdefs "github.com/moby/buildkit/solver/errdefs"
	llberrdefs "github.com/moby/buildkit/solver/llbsolver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	"golang.org/x/sync/errgroup"

	"berth/runtime/engine/build/record"
)

// Limits of looking at what a build has left. It is all there: nothing is to be computed.
const (
	lookTime     = 3 * time.Second
	lookParallel = 8
	lookSteps    = 200 // of a build; the others have no size and no terminal
)

// look finds what the steps have left, after they were computed, or one of them has failed.
func (b *bridge) look(ctx context.Context, result *frontend.Result, failed error) {
	if ctx.Err() != nil {
		return
	}
	vertex, text := "", (*bkerrdefs.VertexError)(nil)
	if errors.As(failed, &text) {
		vertex = text.GetDigest()
	}
	b.run.mu.Lock()
	definitions := b.definitions
	b.run.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, d := range definitions {
		g, err := readGraph(d)
		if err != nil {
			continue
		}
		known := map[string]bool{}
		if failed == nil {
			b.lookAlong(ctx, g, result, known)
		}
		b.lookAt(ctx, g, b.finished(g, vertex, failed != nil), known)
		if failed != nil && g.ops[vertex] != nil {
			b.keepFailed(g, vertex, failed)
		}
	}
}

// finished are the steps that have a result: all, or those that the failed one stands on and those that are known to be done.
func (b *bridge) finished(g *graph, failed string, broken bool) []string {
	done := map[string]bool{}
	if broken {
		g.need(failed, done)
		delete(done, failed)
		if whole, err := b.run.build.Whole(); err == nil {
			for _, s := range whole.Steps {
				if s.State == record.Succeeded {
					done[s.ID] = true
				}
			}
		}
	}
	var steps []string
	for _, id := range g.order {
		op := g.ops[id]
		if (!broken || done[id]) && (op.GetExec() != nil || op.GetFile() != nil || op.GetMerge() != nil || op.GetDiff() != nil || isImage(op)) {
			steps = append(steps, id)
		}
	}
	return steps[:min(len(steps), lookSteps)]
}

// isImage tells base images from the files of the client, which no terminal is opened in.
func isImage(op *pb.Op) bool {
	s := op.GetSource()
	return s != nil && strings.HasPrefix(s.Identifier, "docker-image://")
}

// lookAlong looks at the steps whose layers lie on each other in the result, and marks them as known: that costs nothing.
func (b *bridge) lookAlong(ctx context.Context, g *graph, result *frontend.Result, known map[string]bool) {
	_ = result.EachRef(func(proxy solver.ResultProxy) error {
		if proxy == nil || !same(proxy.Definition(), g.definition) {
			return nil
		}
		computed, err := proxy.Result(ctx)
		if err != nil {
			return nil // it was computed: this is the end of ctx
		}
		ref, ok := computed.Sys().(*worker.WorkerRef)
		steps, straight := g.layers()
		if !ok || ref.ImmutableRef == nil || !straight {
			return nil
		}
		chain := ref.ImmutableRef.LayerChain()
		defer chain.Release(context.WithoutCancel(ctx)) //nolint:errcheck // the result holds them too
		for i, id := range steps {
			at := len(chain) - 1 - i
			if at < 0 {
				break
			}
			known[id] = true
			b.run.watcher.states.finished(b.run.build.ID(), id, finishedState(g, id, &worker.WorkerRef{ImmutableRef: chain[at], Worker: ref.Worker}))
		}
		return nil
	})
}

// same reports whether one definition is a copy of the other: their last entries name all that comes before.
func same(a, b *pb.Definition) bool {
	n := len(a.GetDef())
	return n > 0 && n == len(b.GetDef()) && bytes.Equal(a.Def[n-1], b.Def[n-1])
}

// layers are the steps of the last stage that make a layer each, the last first, and its base image. Straight is false where they do not lie simply
// on each other.
func (g *graph) layers() (steps []string, straight bool) {
	for at := g.result; at != ""; at = g.base(at) {
		switch op := g.ops[at]; {
		case op.GetExec() != nil:
			for _, m := range op.GetExec().Mounts {
				if m.Dest == pb.RootMount && (m.Readonly || m.Output < 0) {
					return nil, false
				}
			}
			steps = append(steps, at)
		case op.GetFile() != nil:
			steps = append(steps, at)
		case isImage(op):
			return append(steps, at), true
		default:
			return nil, false
		}
	}
	return steps, true
}

func (b *bridge) lookAt(ctx context.Context, g *graph, steps []string, known map[string]bool) {
	var group errgroup.Group
	group.SetLimit(lookParallel)
	for _, id := range steps {
		if known[id] {
			continue
		}
		group.Go(func() error {
			if err := b.lookAtStep(ctx, g, id); err != nil {
				b.run.watcher.o.Log.Debug("a step cannot be looked at", "step", g.name(id), "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // they return none
}

func (b *bridge) lookAtStep(ctx context.Context, g *graph, id string) error {
	definition, err := g.upTo(id)
	if err != nil {
		return err
	}
	result, err := b.FrontendLLBBridge.Solve(ctx, frontend.SolveRequest{Definition: definition}, b.sid)
	if err != nil {
		return err
	}
	defer result.EachRef(func(ref solver.ResultProxy) error { return ref.Release(context.WithoutCancel(ctx)) }) //nolint:errcheck // it is the job's too
	computed, err := result.Ref.Result(ctx)
	if err != nil {
		return err
	}
	ref, ok := computed.Sys().(*worker.WorkerRef)
	if !ok || ref.ImmutableRef == nil {
		return nil // no files at all
	}
	b.run.watcher.states.finished(b.run.build.ID(), id, finishedState(g, id, ref))
	return nil
}

// finishedState describes the files after a step, and how a RUN at that place would see them.
func finishedState(g *graph, id string, ref *worker.WorkerRef) *state {
	return &state{
		worker: ref.Worker, ref: ref.ImmutableRef.ID(), snapshots: snapshotsOf(ref.ImmutableRef), layer: g.ops[id].GetSource() == nil,
		meta: g.meta(id), mounts: []*pb.Mount{{Dest: pb.RootMount}},
	}
}

// keepFailed holds on to the files of a step as they were when it failed.
func (b *bridge) keepFailed(g *graph, id string, failed error) {
	var left *llberrdefs.ExecError
	states := b.run.watcher.states
	exec := g.ops[id].GetExec()
	if exec == nil || !errors.As(failed, &left) || len(left.Mounts) != len(exec.Mounts) {
		// An instruction without a process: what it would have changed.
		if base := states.find(b.run.build.ID(), g.base(id)); base != nil {
			states.finished(b.run.build.ID(), id, &state{worker: base.worker, ref: base.ref, meta: g.meta(id), mounts: base.mounts})
		}
		return
	}
	s := &state{meta: g.meta(id)}
	for i, m := range exec.Mounts {
		if m.MountType == pb.MountType_SECRET || m.MountType == pb.MountType_SSH {
			continue // the client who had them is gone
		}
		var held solver.Result
		if result := left.Mounts[i]; result != nil {
			held = result.Clone()
		}
		s.mounts, s.held = append(s.mounts, m.CloneVT()), append(s.held, held)
	}
	states.failed(b.run.build.ID(), id, s)
}

// meta is with whose environment, user and directory a process would run at a step: its own, or those of the nearest RUN
// of its stage.
func (g *graph) meta(id string) *pb.Meta {
	for at := id; at != "" && g.ops[at] != nil; at = g.base(at) {
		if exec := g.ops[at].GetExec(); exec != nil {
			return exec.Meta
		}
	}
	for _, at := range g.order {
		if exec := g.ops[at].GetExec(); exec != nil && g.standsOn(at, id) {
			return exec.Meta
		}
	}
	return &pb.Meta{Cwd: "/"}
}

func (g *graph) standsOn(id, base string) bool {
	for at := g.base(id); at != ""; at = g.base(at) {
		if at == base {
			return true
		}
	}
	return false
}

// sizes tells the record how large the layers of a build's steps are.
func (r *run) sizes(ctx context.Context) {
	if r.watcher.o.Usage == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	for id, s := range r.watcher.states.of(r.build.ID()) {
		if !s.layer {
			continue
		}
		for _, name := range s.snapshots {
			if bytes, err := r.watcher.usage(ctx, name); err == nil {
				r.build.Size(id, bytes)
				break
			}
		}
	}
}

// usage is the size of a snapshot. They never change.
func (w *Watcher) usage(ctx context.Context, snapshot string) (int64, error) {
	w.mu.Lock()
	bytes, ok := w.sizes[snapshot]
	w.mu.Unlock()
	if ok {
		return bytes, nil
	}
	bytes, err := w.o.Usage(ctx, snapshot)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sizes) >= maxSizes {
		clear(w.sizes)
	}
	w.sizes[snapshot] = bytes
	return bytes, nil
}

// maxSizes bounds what is remembered of sizes.
const maxSizes = 4096

// of is a copy of what is kept for a build.
func (s *States) of(build string) map[string]*state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.builds[build]; b != nil {
		return maps.Clone(b.steps)
	}
	return nil
}
