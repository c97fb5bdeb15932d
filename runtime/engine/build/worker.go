package build

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/gc"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter"
	imageexporter "github.com/moby/buildkit/exporter/containerimage"
	localexporter "github.com/moby/buildkit/exporter/local"
	ociexporter "github.com/moby/buildkit/exporter/oci"
	tarexporter "github.com/moby/buildkit/exporter/tar"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/containerimage"
	"github.com/moby/buildkit/source/http"
	"github.com/moby/buildkit/source/local"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/version"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/label"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

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
	// Like the history: the disk is gone with the sandbox, and a build of which nothing has changed commits fifty times.
	if err := md.DB().View(func(tx *bolt.Tx) error { tx.DB().NoSync = true; return nil }); err != nil {
		return nil, errors.Join(err, md.Close())
	}
	db := o.Images.Metadata()
	blobs := containerdsnapshot.NewContentStore(allBlobs{db.ContentStore(), o.Images}, image.Namespace)
	opt := base.WorkerOpt{
		ID: id, Root: o.Dir, Labels: labels(o.Networks.Gateway()), MetadataStore: md, Executor: e, GCPolicy: gcPolicy(o.Dir),
		BuildkitVersion: client.BuildkitVersion{Package: version.Package, Version: version.Version, Revision: version.Revision},
		Snapshotter:     containerdsnapshot.NewSnapshotter(image.Snapshotter, db.Snapshotter(image.Snapshotter), image.Namespace, nil),
		ContentStore:    blobs, Applier: apply.NewFileSystemApplier(blobs), Differ: walking.NewWalkingDiff(blobs),
		Platforms: []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())}, RegistryHosts: hosts,
		LeaseManager:   leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(db), image.Namespace),
		GarbageCollect: func(ctx context.Context) (gc.Stats, error) { return db.GarbageCollect(ctx) },
		MountPoolRoot:  filepath.Join(o.Dir, "cachemounts"),
	}
	l := &localWorker{o: o}
	if l.Worker, err = l.assemble(ctx, opt); err != nil {
		return nil, errors.Join(err, md.Close())
	}
	return l, l.dropTemporary(ctx)
}

// assemble makes BuildKit's worker of these parts. Its own constructor would take other sources and keep its own counsel on what
// images share with the cache.
func (w *localWorker) assemble(ctx context.Context, opt base.WorkerOpt) (*base.Worker, error) {
	records, err := cache.NewManager(cache.ManagerOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, LeaseManager: opt.LeaseManager, GarbageCollect: opt.GarbageCollect,
		Applier: opt.Applier, Differ: opt.Differ, MetadataStore: opt.MetadataStore, Root: opt.Root, MountPoolRoot: opt.MountPoolRoot,
		PruneRefChecker: func() (cache.ExternalRefChecker, error) { return w.sharedRecords(ctx) },
	})
	if err != nil {
		return nil, err
	}
	sources, err := source.NewManager()
	if err != nil {
		return nil, err
	}
	b := &base.Worker{WorkerOpt: opt, CacheMgr: records, SourceManager: sources}
	images := containerimage.SourceOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, Applier: opt.Applier, CacheAccessor: records,
		RegistryHosts: opt.RegistryHosts, ResolverType: containerimage.ResolverTypeRegistry, LeaseManager: opt.LeaseManager,
	}
	if b.ImageSource, err = containerimage.NewSource(images); err != nil {
		return nil, err
	}
	images.ResolverType, images.RegistryHosts = containerimage.ResolverTypeOCILayout, nil
	if b.OCILayoutSource, err = containerimage.NewSource(images); err != nil {
		return nil, err
	}
	if b.HTTPSource, err = http.NewSource(http.Opt{CacheAccessor: records}); err != nil {
		return nil, err
	}
	files, err := local.NewSource(local.Opt{CacheAccessor: records})
	if err != nil {
		return nil, err
	}
	w.images = &imageSource{Source: b.ImageSource, store: w.o.Images, cache: records, leases: opt.LeaseManager}
	for _, s := range []source.Source{w.images, b.OCILayoutSource, b.HTTPSource, files, noGit{}} {
		sources.Register(s)
	}
	w.writer, err = imageexporter.NewImageWriter(imageexporter.WriterOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, Applier: opt.Applier, Differ: opt.Differ,
	})
	return b, err
}

// dropTemporary ends the leases of builds that were cut short.
func (w *localWorker) dropTemporary(ctx context.Context) error {
	list, err := w.LeaseManager().List(ctx, `labels."buildkit/lease.temporary"`)
	for _, l := range list {
		err = errors.Join(err, w.LeaseManager().Delete(ctx, l))
	}
	return err
}

// labelGateway is Docker's: what clients write in place of host-gateway.
const labelGateway = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"

// labels tell clients what the worker can do: with a snapshotter's name, buildx offers all exporters and caches.
func labels(gateway netip.Addr) map[string]string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	l := map[string]string{label.Executor: "oci", label.Snapshotter: image.Snapshotter, label.Hostname: name}
	if gateway.IsValid() {
		l[labelGateway] = gateway.String()
	}
	return l
}

// ResolveSourceMetadata is of worker.Worker: it describes a source before it is fetched.
func (w *localWorker) ResolveSourceMetadata(
	ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt, sm *session.Manager, job solver.JobContext,
) (*sourceresolver.MetaResponse, error) {
	id, err := w.images.identify(w, op, opt)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, job)
	}
	stack, forced, err := w.images.local(ctx, id)
	if err != nil {
		return nil, err
	}
	if stack == nil {
		return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, job)
	}
	if forced {
		asking, cancel := context.WithTimeout(ctx, hostPatience)
		defer cancel()
		if found, err := w.Worker.ResolveSourceMetadata(asking, op, opt, sm, job); err == nil || ctx.Err() != nil {
			return found, err
		}
	}
	return &sourceresolver.MetaResponse{Op: op, Image: &sourceresolver.ResolveImageResponse{Config: stack.Config}}, nil
}

// Exporter is of worker.Worker.
func (w *localWorker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	archive := ociexporter.Opt{SessionManager: sm, ImageWriter: w.writer, Variant: ociexporter.VariantOCI, LeaseManager: w.LeaseManager()}
	switch name {
	case client.ExporterImage, exporterMoby:
		return newImageExporter(w, sm)
	case client.ExporterLocal:
		return localexporter.New(localexporter.Opt{SessionManager: sm})
	case client.ExporterTar:
		return tarexporter.New(tarexporter.Opt{SessionManager: sm})
	case client.ExporterOCI:
		return ociexporter.New(archive)
	case client.ExporterDocker:
		archive.Variant = ociexporter.VariantDocker
		return ociexporter.New(archive)
	}
	return nil, invalid("the output type %q is not supported in this playground: there are image, docker, oci, local and tar", name)
}
