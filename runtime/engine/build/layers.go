package build

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/progress"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// Keys of BuildKit's metadata of a record: cache/metadata.go. Ours is the last one.
const (
	keyMergeParents = "cache.mergeParents"
	keyLowerParent  = "cache.lowerDiffParent"
	keyUpperParent  = "cache.upperDiffParent"
	keySnapshot     = "cache.snapshot"
	keyBlob         = "cache.blob"
	keyBlobSize     = "cache.blobsize"
	keyDiffID       = "cache.diffID"
	keyMediaType    = "cache.mediatype"
	keyMeasured     = "berth.layer"
)

// plan is how a build's result becomes an image.
type plan struct {
	source *exporter.Source
	ref    cache.ImmutableRef
	group  session.Group
}

// plan decides how the layers are told of. Where nobody needs blobs, none are made: the layers are described by what BuildKit
// has left on the disk. Attestations have no place among the images of a classic Docker host; they go where images are pushed.
func (e *imageExport) plan(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (p plan, err error) {
	p.source, p.ref, p.group = src.Clone(), theRef(src), session.NewGroup(info.SessionID)
	if e.pushes() {
		return p, nil
	}
	p.source.Attestations = nil
	if p.ref == nil || e.wantsBlobs() {
		return p, nil
	}
	if info.InlineCache != nil { // it is told in terms of blobs
		if inline, err := info.InlineCache(ctx); err != nil || inline != nil {
			return p, err
		}
	}
	chain := p.ref.LayerChain()
	defer chain.Release(context.WithoutCancel(ctx)) //nolint:errcheck // the build's own reference is there still
	if ok, err := settle(ctx, chain, p.group); err != nil || !ok {
		return p, err
	}
	exported := progress.OneOff(ctx, "exporting layers")
	descs, err := e.describe(ctx, chain)
	if err := exported(err); err != nil {
		return p, err
	}
	described := describedRef{p.ref, descs}
	if p.source.Ref != nil {
		p.source.Ref = described
	}
	for k := range p.source.Refs {
		p.source.Refs[k] = described
	}
	return p, nil
}

// describedRef is a result whose layers have been described already.
type describedRef struct {
	cache.ImmutableRef
	layers []ocispec.Descriptor
}

// GetRemotes is of cache.ImmutableRef.
func (d describedRef) GetRemotes(context.Context, bool, cacheconfig.RefConfig, bool, session.Group) ([]*solver.Remote, error) {
	return []*solver.Remote{{Descriptors: d.layers}}, nil
}

// plainLayer reports whether a record has files of its own. Those of a merge stand in its parents; what a difference is, only
// BuildKit knows.
func plainLayer(ref cache.ImmutableRef) bool {
	for _, key := range []string{keyMergeParents, keyLowerParent, keyUpperParent} {
		if ref.Get(key) != nil {
			return false
		}
	}
	return true
}

// settle makes sure that the files of all layers stand on the disk. ok is false where a layer has none of its own.
func settle(ctx context.Context, chain cache.RefList, g session.Group) (ok bool, err error) {
	for _, ref := range chain {
		if !plainLayer(ref) {
			return false, nil
		}
		if err := ref.Finalize(ctx); err != nil {
			return false, err
		}
		if err := ref.Extract(ctx, g); err != nil {
			return false, err
		}
	}
	return true, nil
}

// describe describes layers: by their blobs where they have been fetched or written, otherwise by their files.
func (e *imageExport) describe(ctx context.Context, chain cache.RefList) ([]ocispec.Descriptor, error) {
	descs := make([]ocispec.Descriptor, len(chain))
	for i, ref := range chain {
		if blob, diffID := ref.GetString(keyBlob), ref.GetString(keyDiffID); blob != "" && diffID != "" {
			descs[i] = ocispec.Descriptor{
				MediaType: ref.GetString(keyMediaType), Digest: digest.Digest(blob), Annotations: map[string]string{image.LabelUncompressed: diffID},
			}
			if v := ref.Get(keyBlobSize); v != nil {
				if err := v.Unmarshal(&descs[i].Size); err != nil {
					return nil, err
				}
			}
			continue
		}
		l, err := e.measure(ctx, ref)
		if err != nil {
			return nil, err
		}
		descs[i] = l.Descriptor()
	}
	return descs, nil
}

// measure reads a layer's files, once: what was learnt of them stands in the cache's record.
func (e *imageExport) measure(ctx context.Context, ref cache.ImmutableRef) (l image.Layer, err error) {
	if known := ref.GetString(keyMeasured); known != "" {
		return l, json.Unmarshal([]byte(known), &l)
	}
	if l, err = e.w.o.Images.Measure(ctx, snapshotOf(ref)); err != nil {
		return l, err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	return l, ref.SetString(keyMeasured, string(b), "")
}

func snapshotOf(ref cache.ImmutableRef) string {
	if name := ref.GetString(keySnapshot); name != "" {
		return name
	}
	return ref.ID()
}

// unpack makes the snapshots of an image's layers: links to what the build has left where its layers are those of the image,
// otherwise from their blobs.
func (e *imageExport) unpack(ctx context.Context, p plan, layers []ocispec.Descriptor) error {
	if p.ref == nil {
		return nil
	}
	chain := p.ref.LayerChain()
	defer chain.Release(context.WithoutCancel(ctx)) //nolint:errcheck // the build's own reference is there still
	linked := len(chain) == len(layers) && !e.rewrites()
	if linked {
		var err error
		if linked, err = settle(unleased(ctx), chain, p.group); err != nil {
			return err
		}
	}
	var ids []digest.Digest
	for i, l := range layers {
		ids = append(ids, digest.Digest(l.Annotations[image.LabelUncompressed]))
		have, err := e.w.o.Images.HaveLayer(ctx, ids)
		if err != nil {
			return err
		}
		switch {
		case have:
		case linked:
			err = e.link(ctx, chain[i], ids)
		default:
			err = e.w.o.Images.Unpack(ctx, l, ids)
		}
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return nil
}

// link makes the snapshot of the highest of these layers of a record's.
func (e *imageExport) link(ctx context.Context, ref cache.ImmutableRef, ids []digest.Digest) error {
	l, err := e.measure(ctx, ref)
	if err != nil {
		return err
	}
	labels := l.Labels()
	if l.DiffID != ids[len(ids)-1] { // it has a blob that was written in another way
		labels = l.SizeLabels()
	}
	parent := ""
	if len(ids) > 1 {
		parent = identity.ChainID(ids[:len(ids)-1]).String()
	}
	_, err = e.w.o.Images.Link(ctx, identity.ChainID(ids).String(), parent, snapshotOf(ref), labels)
	return err
}

// pushes reports whether the image goes to a registry, too.
func (e *imageExport) pushes() bool {
	return isTrue(e.attrs, "push") || isTrue(e.attrs, "push-by-digest")
}

// wantsBlobs reports whether it was said how layers are to be written.
func (e *imageExport) wantsBlobs() bool {
	for _, k := range []string{"compression", "force-compression", "compression-level", "rewrite-timestamp"} {
		if e.attrs[k] != "" && e.attrs[k] != "false" {
			return true
		}
	}
	return false
}

// rewrites reports whether the image's layers are others than the build's.
func (e *imageExport) rewrites() bool { return isTrue(e.attrs, "rewrite-timestamp") }

// isTrue reads a flag of an exporter: it may be without a value.
func isTrue(attrs map[string]string, key string) bool {
	v, ok := attrs[key]
	return ok && v != "false" && v != "0"
}
