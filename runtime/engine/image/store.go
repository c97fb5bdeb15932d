package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	enginevents "berth/runtime/engine/events"
	"berth/runtime/imagecache/catalogue"
)

const (
	// Namespace is containerd's for all that is kept here; Docker's own uses this name too.
	Namespace = "moby"
	// Snapshotter is the name of the snapshotter in labels of containerd.
	Snapshotter = "overlayfs"
)

// Options say where a Store is and what it works with. All but Dir may be left out.
type Options struct {
	Dir          string            // on the session's disk
	SharedLayers string            // the trees of the host's layers, read-only
	Catalogue    string            // directory of package catalogue
	Mirrors      []string          // registries, HOST[:PORT] or URL, that are asked before Docker Hub
	Transport    http.RoundTripper // to registries; nil: one of its own
	// Authorities are the certificates (PEM) of those who vouch for one registry, HOST or HOST:PORT, beside whom the host trusts.
	Authorities func(registry string) ([]byte, error)
	Events      *enginevents.Bus // told of what happens to images
	Log         *slog.Logger
	InUse       func(id string) []User // the containers that were made of an image, in any state
}

// User is a container that an image is used by.
type User struct {
	ID      string
	Ref     string // the name that the container was made with
	Running bool
}

// Store is the images of one sandbox. It is safe for concurrent use.
type Store struct {
	Options

	db        *bolt.DB
	meta      *metadata.DB
	content   content.Store
	images    images.Store
	leases    leases.Manager
	snapshots snapshots.Snapshotter
	backend   *sharedSnapshotter
	host      *catalogue.Reader
	stop      context.CancelFunc
	collect   chan struct{}
	collector sync.WaitGroup

	http      *http.Transport
	downloads chan struct{} // as many as may run at a time

	// change is held while records and names change, so that an image is not collected between being found and named.
	change sync.Mutex

	mu      sync.Mutex
	configs map[string]Config // by image ID
	hidden  map[string]bool   // names of the host's catalogue that were removed in this session
	locks   map[string]*keyLock
}

// Open opens the store in o.Dir, or makes it. Close it; so does the end of ctx.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = &enginevents.Bus{}
	}
	if o.InUse == nil {
		o.InUse = func(string) []User { return nil }
	}
	s := &Store{
		Options: o, host: catalogue.NewReader(o.Catalogue), collect: make(chan struct{}, 1),
		http: newTransport(), downloads: make(chan struct{}, parallelDownloads), configs: map[string]Config{}, hidden: map[string]bool{}, locks: map[string]*keyLock{},
	}
	if err := s.openStores(ctx); err != nil {
		return nil, fmt.Errorf("open the image store: %w", err)
	}
	ctx, s.stop = context.WithCancel(ctx)
	s.collector.Go(func() { s.keepCollecting(scoped(ctx)) })
	return s, nil
}

func (s *Store) openStores(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.Dir, 0o711); err != nil {
		return err
	}
	content := filepath.Join(s.Dir, "content")
	// The content store makes this directory on first use, and once only: where the disk is full then, it would say so for ever.
	if err := os.MkdirAll(filepath.Join(content, "ingest"), 0o700); err != nil {
		return err
	}
	blobs, err := local.NewStore(content)
	if err != nil {
		return err
	}
	if s.backend, err = newSnapshotter(filepath.Join(s.Dir, "snapshots"), s.SharedLayers); err != nil {
		return err
	}
	options := *bolt.DefaultOptions
	options.NoSync, options.NoFreelistSync, options.Timeout = true, true, openTimeout
	if s.db, err = bolt.Open(filepath.Join(s.Dir, "metadata.db"), 0o600, &options); err != nil {
		return errors.Join(err, s.backend.Close())
	}
	s.meta = metadata.NewDB(s.db, blobs, map[string]snapshots.Snapshotter{Snapshotter: s.backend})
	err = s.meta.Init(ctx)
	if err == nil { // it opens its database on first use, and is not found where it is new
		err = s.backend.Walk(ctx, func(context.Context, snapshots.Info) error { return nil })
	}
	if err == nil || errdefs.IsNotFound(err) {
		err = errors.Join(reserve(s.db.Path()), reserve(filepath.Join(s.Dir, "snapshots", "metadata.db")))
	}
	if err != nil {
		return errors.Join(err, s.db.Close(), s.backend.Close())
	}
	s.content, s.images = s.meta.ContentStore(), metadata.NewImageStore(s.meta)
	s.leases, s.snapshots = metadata.NewLeaseManager(s.meta), s.meta.Snapshotter(Snapshotter)
	return nil
}

// reserved are the bytes that each database has for itself from the start: on a full disk, images can still be removed.
const reserved = 1 << 20

func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, reserved)
	if errors.Is(err, unix.EOPNOTSUPP) { // not on every file system
		return nil
	}
	return err
}

// openTimeout bounds the wait for another process to let go of the database: there is none.
const openTimeout = 5 * time.Second

// collectPause is how long bytes that are free may still be taken.
const collectPause = 100 * time.Millisecond

// Close ends the store. Mounts of roots are not touched.
func (s *Store) Close() error {
	s.stop()
	s.collector.Wait()
	s.http.CloseIdleConnections()
	return errors.Join(s.meta.Close(), s.backend.Close())
}

// Metadata is the database beneath, for the builder. Its contexts need the namespace Namespace.
func (s *Store) Metadata() *metadata.DB { return s.meta }

// scoped gives a context containerd's namespace.
func scoped(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, Namespace) }

// hold keeps all that is written with the context it returns, until release is called.
func (s *Store) hold(ctx context.Context) (_ context.Context, release func(), err error) {
	ctx = scoped(ctx)
	l, err := s.leases.Create(ctx, leases.WithRandomID())
	if err != nil {
		return nil, nil, err
	}
	undo := context.WithoutCancel(ctx)
	return leases.WithLease(context.WithValue(ctx, unheldKey{}, ctx), l.ID), func() {
		if err := s.leases.Delete(undo, l); err != nil {
			s.Log.Error("end a hold on images", "error", err)
		}
	}, nil
}

type unheldKey struct{}

// unheld is the context that hold was called with: what is begun with it is not dropped when the hold ends.
func unheld(ctx context.Context) context.Context {
	if c, ok := ctx.Value(unheldKey{}).(context.Context); ok {
		return c
	}
	return ctx
}

// keepCollecting frees what nothing refers to, when asked.
func (s *Store) keepCollecting(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.collect:
		}
		select { // containers often go one after the other
		case <-ctx.Done():
			return
		case <-time.After(collectPause):
		}
		if err := s.collectNow(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("collect images", "error", err)
		}
	}
}

// collectSoon asks for a collection without waiting for it.
func (s *Store) collectSoon() {
	select {
	case s.collect <- struct{}{}:
	default: // one is due already
	}
}

func (s *Store) collectNow(ctx context.Context) error {
	_, err := s.meta.GarbageCollect(scoped(ctx))
	return err
}

// tell publishes an event of an image.
func (s *Store) tell(action events.Action, id, name string, config Config) {
	attributes := map[string]string{}
	for k, v := range config.Config.Labels {
		attributes[k] = v
	}
	if name != "" {
		attributes["name"] = name
	}
	s.Events.Publish(events.ImageEventType, action, id, attributes)
}
