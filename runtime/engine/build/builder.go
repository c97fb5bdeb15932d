package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/cache/remotecache"
	inlinecache "github.com/moby/buildkit/cache/remotecache/inline"
	localcache "github.com/moby/buildkit/cache/remotecache/local"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/worker"
	bolt "go.etcd.io/bbolt"

	"berth/runtime/engine/build/watch"
	"berth/runtime/engine/image"
	"berth/runtime/engine/network"
	"berth/runtime/engine/oci"
)

// Options say where a Builder is and what it works with.
type Options struct {
	Dir      string // on the session's disk
	RunDir   string // for the bundles of steps; on the sandbox's tmpfs
	Images   *image.Store
	Networks *network.Manager
	Runtime  *oci.Runtime
	Mirrors  []string       // registries, HOST[:PORT] or URL, that are asked before Docker Hub
	Watch    *watch.Watcher // records builds; nil: nobody does
	Log      *slog.Logger
}

// Builder is one BuildKit. It is safe for concurrent use.
type Builder struct {
	o          Options
	controller *control.Controller
	sessions   *session.Manager
	worker     *localWorker
	executor   *executor
	hosts      docker.RegistryHosts

	stop    context.CancelFunc
	serving sync.WaitGroup
	pace    pace
	server  *grpcServer
}

// Open makes a builder, or opens the cache of an earlier one. It lives until Close, or the end of ctx.
func Open(ctx context.Context, o Options) (_ *Builder, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, dir := range []string{o.Dir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	b := &Builder{o: o, hosts: registryHosts(o.Images, o.Mirrors)}
	ctx, b.stop = context.WithCancel(withLogger(ctx, o.Log))
	if err := b.open(ctx); err != nil {
		b.stop()
		return nil, fmt.Errorf("open the builder: %w", err)
	}
	return b, nil
}

func (b *Builder) open(ctx context.Context) (err error) {
	if b.sessions, err = session.NewManager(); err != nil {
		return err
	}
	b.executor = newExecutor(b.o)
	if b.worker, err = newWorker(ctx, b.o, b.executor, b.hosts); err != nil {
		return err
	}
	workers := &worker.Controller{}
	if err := workers.Add(b.worker); err != nil {
		return errors.Join(err, b.worker.Close())
	}
	storage, err := bboltcachestorage.NewStore(filepath.Join(b.o.Dir, "cache.db"))
	if err != nil {
		return errors.Join(err, b.worker.Close())
	}
	history, err := openHistory(filepath.Join(b.o.Dir, "history.db"))
	if err != nil {
		return errors.Join(err, storage.Close(), b.worker.Close())
	}
	b.controller, err = control.NewController(control.Opt{
		SessionManager: b.sessions, WorkerController: workers, Frontends: frontends(workers.Infos(), b.o.Watch),
		CacheManager:              solver.NewCacheManager(ctx, "local", storage, worker.NewCacheResultStorage(workers)),
		ResolveCacheExporterFuncs: b.cacheExporters(), ResolveCacheImporterFuncs: b.cacheImporters(),
		Entitlements: []string{string(entitlements.EntitlementNetworkHost), string(entitlements.EntitlementSecurityInsecure)},
		HistoryDB:    history, HistoryConfig: historyConfig(), CacheStore: storage, LeaseManager: b.worker.LeaseManager(),
		ContentStore: b.worker.ContentStore(), GarbageCollect: b.worker.GarbageCollect, GracefulStop: ctx.Done(),
	})
	if err != nil {
		return errors.Join(err, history.Close(), storage.Close(), b.worker.Close())
	}
	if b.o.Watch != nil {
		b.o.Watch.Attach(ctx, b.controller, b.reclaim)
	}
	b.server = newGRPCServer(b)
	return nil
}

// openHistory opens the database of past builds. It is not synchronised with the disk: it need not outlive the sandbox.
func openHistory(path string) (db.DB, error) {
	return boltutil.SafeOpen(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
}

func (b *Builder) cacheExporters() map[string]remotecache.ResolveCacheExporterFunc {
	return map[string]remotecache.ResolveCacheExporterFunc{
		"inline":   inlinecache.ResolveCacheExporterFunc(),
		"local":    localcache.ResolveCacheExporterFunc(b.sessions),
		"registry": registrycache.ResolveCacheExporterFunc(b.sessions, b.hosts),
	}
}

func (b *Builder) cacheImporters() map[string]remotecache.ResolveCacheImporterFunc {
	return map[string]remotecache.ResolveCacheImporterFunc{
		"local":    localcache.ResolveCacheImporterFunc(b.sessions),
		"registry": registrycache.ResolveCacheImporterFunc(b.sessions, b.worker.ContentStore(), b.hosts),
	}
}

// Close ends all builds, and waits for their steps to be gone.
func (b *Builder) Close() error {
	b.stop()
	b.server.Close()
	b.serving.Wait()
	err := b.controller.Close()
	b.executor.wait()
	return err
}
