package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/identity"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/api"
	"berth/runtime/engine/build"
	"berth/runtime/engine/build/dockerfile"
	"berth/runtime/engine/build/record"
	"berth/runtime/engine/build/watch"
	"berth/runtime/engine/image"
	"berth/terminal"
)

// maxBuilds is how many builds that the page asks for run at a time.
const maxBuilds = 4

// builds are the builds of the session, as the sandbox API has them.
type builds struct {
	host      *host
	terminals *terminal.Set
	checker   *dockerfile.Checker

	mu      sync.Mutex
	running int
	work    sync.WaitGroup
}

func newBuilds(h *host, terminals *terminal.Set) *builds {
	b := &builds{host: h, terminals: terminals}
	b.checker = dockerfile.NewChecker(b)
	return b
}

// close waits for the builds, which end with the sandbox, and for what is told of them.
func (b *builds) close(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.work.Wait()
		if r := b.host.opened(); r != nil {
			r.watch.Close()
			r.records.Close()
		}
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("builds do not end: %w", context.Cause(ctx))
	}
}

// List is of api.Builds.
func (b *builds) List(context.Context) ([]record.Summary, error) {
	r, err := b.host.open()
	if err != nil {
		return nil, err
	}
	return r.records.List(), nil
}

// Get is of api.Builds.
func (b *builds) Get(_ context.Context, id string) (*record.Build, error) {
	r, err := b.host.open()
	if err != nil {
		return nil, err
	}
	return r.records.Get(id)
}

// Forget is of api.Builds.
func (b *builds) Forget(_ context.Context, id string) error {
	r, err := b.host.open()
	if err != nil {
		return err
	}
	return r.records.Forget(id)
}

// Check is of api.Builds.
func (b *builds) Check(ctx context.Context, text []byte) (*dockerfile.Check, error) {
	return b.checker.Check(ctx, text)
}

// ImageConfig is of dockerfile.Images.
func (b *builds) ImageConfig(ctx context.Context, ref string) ([]byte, error) {
	r, err := b.host.open()
	if err != nil {
		return nil, err
	}
	img, err := r.images.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	return json.Marshal(img.Config)
}

// Debug is of api.Builds.
func (b *builds) Debug(ctx context.Context, id, step string) (string, error) {
	r, err := b.host.open()
	if err != nil {
		return "", err
	}
	if _, err := r.records.Get(id); err != nil {
		return "", err
	}
	name, start, err := r.watch.States().Terminal(id, step)
	if err != nil {
		return "", err
	}
	_, err = b.terminals.OpenWith(ctx, name, terminal.DefaultSize, start)
	return name, err
}

// Create is of api.Builds.
func (b *builds) Create(_ context.Context, req api.BuildRequest) (_ *record.Build, err error) {
	if err := validBuild(&req); err != nil {
		return nil, err
	}
	r, err := b.host.open()
	if err != nil {
		return nil, err
	}
	in, err := b.openContext(&req)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	if err := b.enter(); err != nil {
		return nil, err
	}
	kept, err := r.records.Begin(record.About{
		ID: identity.NewID(), Source: record.FromPage, Context: req.Context, Dockerfile: req.Dockerfile, Target: req.Target,
		Tags: req.Tags, Args: req.Args, NoCache: req.NoCache,
	})
	if err != nil {
		b.leave()
		return nil, err
	}
	b.work.Go(func() { // it outlives the request that asked for it
		defer b.leave()
		defer in.close()
		b.run(b.host.ctx, r, kept, req, in)
	})
	return kept, nil
}

func (b *builds) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running >= maxBuilds {
		return fmt.Errorf("%d builds run in this session: wait for one to end, or cancel it: %w", b.running, errdefs.ErrResourceExhausted)
	}
	b.running++
	return nil
}

func (b *builds) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
}

// run builds. The watcher sees it begin and end; what fails before that is told here.
func (b *builds) run(ctx context.Context, r *rooms, kept *record.Build, req api.BuildRequest, in *buildContext) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	kept.Cancellable(cancel)
	err := func() error {
		builder, err := r.builder.open(ctx)
		if err != nil {
			return err
		}
		return builder.BuildDirectory(ctx, build.Directory{
			Ref: kept.ID(), Context: build.Tree(in.context), Dockerfile: build.Tree(in.dockerfile), Filename: in.filename,
			SharedKey: digest.FromString(req.Context).Encoded(), Target: req.Target, Tags: req.Tags, Args: req.Args, Labels: req.Labels,
			NoCache: req.NoCache, Pull: req.Pull, Auth: b.host.workspace.logins(),
		})
	}()
	r.watch.Settle(kept.ID())
	outcome := record.Outcome{State: record.Succeeded}
	switch {
	case errors.Is(context.Cause(ctx), record.ErrCancelled):
		outcome.State = record.Cancelled
	case err != nil:
		outcome.State, outcome.Error = record.Failed, &record.Error{Message: err.Error()}
	}
	kept.End(outcome) // it has ended already unless the builder has never heard of it
}

// openRecords opens what is remembered of builds, and who watches them.
func (h *host) openRecords(r *rooms) (err error) {
	if r.records, err = record.Open(filepath.Join(hostDir, "builds"), h.log); err != nil {
		return err
	}
	snapshots := r.images.Metadata().Snapshotter(image.Snapshotter)
	r.watch = watch.New(watch.Options{
		Records: r.records, Disk: hostDir, Log: h.log,
		ImageSize: func(ctx context.Context, id string) int64 {
			img, err := r.images.Get(ctx, id)
			if err != nil {
				return 0 // it may be gone again
			}
			return img.Size
		},
		Usage: func(ctx context.Context, snapshot string) (int64, error) {
			usage, err := snapshots.Usage(namespaces.WithNamespace(ctx, image.Namespace), snapshot)
			return usage.Size, err
		},
	})
	return nil
}
