package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/containerimage"
	"github.com/moby/buildkit/util/resolver"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// imageSource is where base images come from: from the session's and the host's, and only otherwise from a registry.
type imageSource struct {
	*containerimage.Source
	store  *image.Store
	cache  cache.Accessor
	leases leases.Manager
}

// identify reads which image a source asks for. It is nil for other sources.
func (s *imageSource) identify(w *localWorker, op *pb.SourceOp, opt sourceresolver.Opt) (*containerimage.ImageIdentifier, error) {
	if opt.ImageOpt == nil || len(opt.SourcePolicies) > 0 {
		return nil, nil
	}
	parsed, err := w.ParseSource(op, nil)
	if err != nil {
		return nil, err
	}
	id, ok := parsed.(*containerimage.ImageIdentifier)
	if !ok {
		return nil, nil
	}
	if id.ResolveMode, err = resolver.ParseImageResolveMode(opt.ImageOpt.ResolveMode); err != nil {
		return nil, err
	}
	if opt.ImageOpt.Platform != nil {
		id.Platform = opt.ImageOpt.Platform
	}
	return id, nil
}

// hostPatience is how long a registry may take to describe an image that the host has as well, as for `docker pull`.
const hostPatience = 2 * time.Second

// local finds an image of the session or the host for an identifier. It is nil where there is none. forced says that the
// registry is to be asked first all the same.
func (s *imageSource) local(ctx context.Context, id *containerimage.ImageIdentifier) (_ *image.Stack, forced bool, err error) {
	stack, err := s.find(ctx, id)
	if err != nil || stack == nil || id.ResolveMode != resolver.ResolveModeForcePull {
		return stack, false, err
	}
	if !stack.OnHost {
		return nil, false, nil
	}
	return stack, true, nil
}

func (s *imageSource) find(ctx context.Context, id *containerimage.ImageIdentifier) (*image.Stack, error) {
	if id.Checksum != "" {
		return nil, nil
	}
	stack, err := s.store.Stack(ctx, id.Reference.String())
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var has ocispec.Image
	if err := json.Unmarshal(stack.Config, &has); err != nil {
		return nil, fmt.Errorf("config of image %s: %w", stack.ID, err)
	}
	if id.Platform != nil && has.Architecture != "" && !platforms.Only(*id.Platform).Match(has.Platform) {
		return nil, nil
	}
	return &stack, nil
}

// Resolve is of source.Source.
func (s *imageSource) Resolve(ctx context.Context, id source.Identifier, sm *session.Manager, vtx solver.Vertex) (source.SourceInstance, error) {
	i, ok := id.(*containerimage.ImageIdentifier)
	if !ok {
		return nil, fmt.Errorf("%T is not an image", id)
	}
	stack, forced, err := s.local(ctx, i)
	if err != nil {
		return nil, err
	}
	if stack == nil {
		return s.Source.Resolve(ctx, id, sm, vtx)
	}
	if n := i.LayerLimit; n != nil && *n < len(stack.Layers) {
		stack.Layers = stack.Layers[:*n]
	}
	own := &localImage{source: s, ref: i.Reference.String(), stack: stack}
	if !forced {
		return own, nil
	}
	remote, err := s.Source.Resolve(ctx, id, sm, vtx)
	return &pulledImage{SourceInstance: remote, own: own, log: s.store.Log}, err
}

// pulledImage is an image that is to be fetched, and is the host's where the registry does not give it.
type pulledImage struct {
	source.SourceInstance
	own *localImage
	log *slog.Logger
}

// CacheKey is of source.SourceInstance.
func (p *pulledImage) CacheKey(ctx context.Context, job solver.JobContext, i int) (key, pin string, opts solver.CacheOpts, done bool, err error) {
	asking, cancel := context.WithTimeout(ctx, hostPatience)
	defer cancel()
	key, pin, opts, done, err = p.SourceInstance.CacheKey(asking, job, i)
	if err == nil || ctx.Err() != nil {
		return key, pin, opts, done, err
	}
	p.log.Info("the host's image instead of the registry's", "image", p.own.ref, "error", err)
	p.SourceInstance = p.own
	return p.own.CacheKey(ctx, job, i)
}

// localImage is one base image that need not be fetched.
type localImage struct {
	source *imageSource
	ref    string
	stack  *image.Stack
}

// CacheKey is of source.SourceInstance: the same layers are the same file system.
func (l *localImage) CacheKey(context.Context, solver.JobContext, int) (key, pin string, opts solver.CacheOpts, done bool, err error) {
	key = l.stack.ID
	if ids := l.diffIDs(); len(ids) > 0 {
		key = identity.ChainID(ids).String()
	}
	return key, l.stack.ID, nil, true, nil
}

func (l *localImage) diffIDs() []digest.Digest {
	var ids []digest.Digest
	for _, d := range l.stack.Layers {
		ids = append(ids, digest.Digest(d.Annotations[image.LabelUncompressed]))
	}
	return ids
}

// Snapshot is of source.SourceInstance. Layers are unpacked already: BuildKit finds them under its own names.
func (l *localImage) Snapshot(ctx context.Context, _ solver.JobContext) (_ cache.ImmutableRef, err error) {
	defer guard(l.source.store.Log, &err)
	if len(l.stack.Layers) == 0 {
		return nil, nil
	}
	ctx, release, err := l.source.store.Hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var current cache.ImmutableRef
	ids := l.diffIDs()
	for i, desc := range l.stack.Layers {
		next, err := l.layer(ctx, ids[:i+1], desc, current)
		if err = errors.Join(err, releaseRef(ctx, current)); err != nil {
			return nil, errors.Join(err, releaseRef(ctx, next))
		}
		current = next
	}
	return current, nil
}

// layer makes BuildKit's record of the highest of these layers.
func (l *localImage) layer(ctx context.Context, ids []digest.Digest, desc ocispec.Descriptor, parent cache.ImmutableRef) (cache.ImmutableRef, error) {
	have, err := l.source.store.HaveLayer(ctx, ids)
	if err == nil && !have {
		err = fmt.Errorf("layer %s of %s has gone: %w", ids[len(ids)-1], l.ref, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	chain := identity.ChainID(ids).String()
	owner, err := l.source.store.Link(ctx, layerName(ids), layerName(ids[:len(ids)-1]), chain, nil)
	if err != nil {
		return nil, err
	}
	ref, err := l.source.cache.GetByBlob(unleased(ctx), desc, parent, cache.WithImageRef(l.ref), cache.WithDescription("from "+l.ref))
	if err != nil {
		return nil, err
	}
	err = l.source.leases.AddResource(ctx, leases.Lease{ID: ref.ID()}, leases.Resource{ID: owner, Type: "snapshots/" + image.Snapshotter})
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return ref, err
	}
	return ref, nil
}

// layerName is BuildKit's name of a stack of layers.
func layerName(ids []digest.Digest) string {
	if len(ids) == 0 {
		return ""
	}
	return snapshot.LayerSnapshotID(identity.ChainID(ids))
}

func releaseRef(ctx context.Context, ref cache.ImmutableRef) error {
	if ref == nil {
		return nil
	}
	return ref.Release(context.WithoutCancel(ctx))
}

// unleased is a context in which BuildKit makes leases of its own.
func unleased(ctx context.Context) context.Context { return leases.WithLease(ctx, "") }
