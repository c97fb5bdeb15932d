package build

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// allBlobs are the session's blobs, and those that can be read although they do not stand on its disk: of base images that the
// host has, and of layers that were built here.
type allBlobs struct {
	content.Store
	images *image.Store
}

// Info is of content.Store.
func (a allBlobs) Info(ctx context.Context, d digest.Digest) (content.Info, error) {
	info, err := a.Store.Info(ctx, d)
	if !errdefs.IsNotFound(err) {
		return info, err
	}
	return a.images.Elsewhere(ctx, d)
}

// Update is of content.Store. What is noted of a blob that is not here is forgotten: it can be found out again.
func (a allBlobs) Update(ctx context.Context, info content.Info, fields ...string) (content.Info, error) {
	updated, err := a.Store.Update(ctx, info, fields...)
	if !errdefs.IsNotFound(err) {
		return updated, err
	}
	return a.images.Elsewhere(ctx, info.Digest)
}

// ReaderAt is of content.Store.
func (a allBlobs) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	r, err := a.Store.ReaderAt(ctx, desc)
	if !errdefs.IsNotFound(err) {
		return r, err
	}
	info, err := a.images.Elsewhere(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	desc.Size = info.Size
	return a.images.Blobs().ReaderAt(ctx, desc)
}
