package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/gc"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter"
	imageexporter "github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/version"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/label"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// localWorker is BuildKit's worker on the stores of the session's images. Base images that the session has come from there,
// and what is built goes there.
type localWorker struct {
	*base.Worker
	images *imageSource
	writer *imageexporter.ImageWriter
	o      Options
}

func newWorker(ctx context.Context, o Options, e *executor, hosts docker.RegistryHosts) (*localWorker, error) {
	id, err := base.ID(o.Dir)
	if err != nil {
		return nil, err
	}
	md, err := metadata.NewStore(filepath.Join(o.Dir, "metadata.db"))
	if err != nil {
		return nil, err
	}
	db := o.Images.Metadata()
	blobs := containerdsnapshot.NewContentStore(allBlobs{db.ContentStore(), o.Images}, image.Namespace)
	opt := base.WorkerOpt{
		ID: id, Root: o.Dir, Labels: labels(), MetadataStore: md, Executor: e, GCPolicy: gcPolicy(o.Dir),
		BuildkitVersion: client.BuildkitVersion{Package: version.Package, Version: version.Version, Revision: version.Revision},
		Snapshotter:     containerdsnapshot.NewSnapshotter(image.Snapshotter, db.Snapshotter(image.Snapshotter), image.Namespace, nil),
		ContentStore:    blobs, Applier: apply.NewFileSystemApplier(blobs), Differ: walking.NewWalkingDiff(blobs),
		Platforms: []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())}, RegistryHosts: hosts,
		LeaseManager:   leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(db), image.Namespace),
		GarbageCollect: func(ctx context.Context) (gc.Stats, error) { return db.GarbageCollect(ctx) },
		MountPoolRoot:  filepath.Join(o.Dir, "cachemounts"),
	}
	w, err := base.NewWorker(ctx, opt)
	if err != nil {
		return nil, errors.Join(err, md.Close())
	}
	writer, err := imageexporter.NewImageWriter(imageexporter.WriterOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, Applier: opt.Applier, Differ: opt.Differ,
	})
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	l := &localWorker{Worker: w, images: &imageSource{Source: w.ImageSource, store: o.Images, cache: w.CacheMgr, leases: opt.LeaseManager}, writer: writer, o: o}
	w.SourceManager.Register(l.images)
	return l, nil
}

// labels tell clients what the worker can do: with a snapshotter's name, buildx offers all exporters and caches.
func labels() map[string]string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return map[string]string{label.Executor: "oci", label.Snapshotter: image.Snapshotter, label.Hostname: name}
}

// ResolveSourceMetadata is of worker.Worker: it describes a source before it is fetched.
func (w *localWorker) ResolveSourceMetadata(
	ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt, sm *session.Manager, job solver.JobContext,
) (*sourceresolver.MetaResponse, error) {
	config, err := w.images.localConfig(ctx, w, op, opt)
	if err != nil || config == nil {
		if err != nil {
			return nil, err
		}
		return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, job)
	}
	return &sourceresolver.MetaResponse{Op: op, Image: &sourceresolver.ResolveImageResponse{Config: config}}, nil
}

// Exporter is of worker.Worker.
func (w *localWorker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	if name == client.ExporterImage || name == exporterMoby {
		return newImageExporter(w, sm)
	}
	return w.Worker.Exporter(name, sm)
}
