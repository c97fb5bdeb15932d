package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/build/record"
	"berth/runtime/engine/build/watch"
	"berth/runtime/engine/container"
	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/events"
	"berth/runtime/engine/image"
	"berth/runtime/engine/image/layers"
	"berth/runtime/engine/network"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/volume"
)

// Where the Docker host keeps what it has, on the session's disk, and what runs, on the sandbox's tmpfs.
const (
	hostDir = boot.Disk + "/docker"
	hostRun = boot.Run + "/docker"
)

// host is the sandbox as a Docker host: the rooms behind the Docker API. It is made by the first request, and costs nothing
// before.
type host struct {
	ctx       context.Context // of the sandbox
	config    boot.Config
	version   string
	runtime   *oci.Runtime
	workspace *workspace
	log       *slog.Logger

	events events.Bus

	mu    sync.Mutex // held while the rooms are made
	rooms *rooms     // nil: nobody has asked yet
}

// rooms are the parts of a Docker host.
type rooms struct {
	images     *image.Store
	networks   *network.Manager
	volumes    *volume.Store
	containers *container.Manager
	inspector  *layers.Inspector
	records    *record.Store
	watch      *watch.Watcher
	builder    *lazyBuilder
	api        http.Handler
}

// ServeHTTP answers the Docker API.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rooms, err := h.open()
	if err != nil {
		h.log.Error("the Docker host does not start", "error", err)
		_ = dockerapi.Error(w, fmt.Errorf("the Docker host of this session does not start: %w", err))
		return
	}
	rooms.api.ServeHTTP(w, r)
}

// Tags is of api.Registry.
func (h *host) Tags(ctx context.Context, repository string) ([]string, error) {
	rooms, err := h.open()
	if err != nil {
		return nil, err
	}
	return rooms.images.Tags(ctx, repository, authn.Anonymous)
}

// RemoteImage is of api.Registry.
func (h *host) RemoteImage(ctx context.Context, reference string) (image.RemoteImage, error) {
	rooms, err := h.open()
	if err != nil {
		return image.RemoteImage{}, err
	}
	return rooms.images.InspectRemote(ctx, reference, authn.Anonymous, true)
}

// open makes the rooms, once. What failed is tried again by the next request.
func (h *host) open() (*rooms, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms != nil {
		return h.rooms, nil
	}
	r := &rooms{}
	for _, step := range []func(*rooms) error{h.openImages, h.openNetworks, h.openVolumes, h.openContainers, h.openRecords, h.planBuilder} {
		if err := step(r); err != nil {
			return nil, errors.Join(err, r.close(h.ctx))
		}
	}
	r.api = dockerapi.New(h.log, h.parts(r)...)
	h.rooms = r
	return r, nil
}

func (h *host) openImages(r *rooms) (err error) {
	r.images, err = image.Open(h.ctx, image.Options{
		Dir: hostDir, SharedLayers: boot.Layers, Catalogue: boot.Catalogue, Mirrors: h.config.Mirrors, Events: &h.events,
		Log: h.log, InUse: r.imageUsers, Authorities: h.workspace.authorities,
	})
	if err == nil {
		r.inspector = layers.New(r.images, filepath.Join(hostDir, "layers"), h.log)
	}
	return err
}

func (h *host) openNetworks(r *rooms) (err error) {
	var dns []netip.Addr
	for _, s := range h.config.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("resolver %q: %w", s, err)
		}
		dns = append(dns, a)
	}
	r.networks, err = network.New(h.ctx, network.Options{
		Dir: filepath.Join(hostDir, "network"), RunDir: filepath.Join(hostRun, "netns"), DNS: dns, Events: &h.events, Log: h.log,
	})
	return err
}

func (h *host) openVolumes(r *rooms) (err error) {
	r.volumes, err = volume.Open(filepath.Join(hostDir, "volumes"), &h.events, volume.Options{
		HostPath: func(path string) (string, error) { return r.containers.HostPath(path) }, Log: h.log,
	})
	return err
}

func (h *host) openContainers(r *rooms) (err error) {
	r.containers, err = container.New(h.ctx, container.Options{
		Dir: filepath.Join(hostDir, "containers"), RunDir: hostRun, Images: r.images, Networks: r.networks, Volumes: r.volumes,
		Runtime: h.runtime, Events: &h.events, Log: h.log,
		Workspace: container.Workspace{
			Rootfs: h.workspace.rootfs, PID: h.workspace.init.PID, Hostname: h.config.Hostname, Mounts: h.workspace.mounts(),
		},
	})
	return err
}

// close undoes what open made before it failed.
func (r *rooms) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var err error
	if r.containers != nil {
		err = r.containers.Close()
	}
	if r.networks != nil {
		err = errors.Join(err, r.networks.Close(ctx))
	}
	if r.images != nil {
		err = errors.Join(err, r.images.Close())
	}
	return err
}

// parts are the topics of the Docker API.
func (h *host) parts(r *rooms) []dockerapi.Part {
	return []dockerapi.Part{
		h.system(r),
		dockerapi.Events{Bus: &h.events},
		r.imageAPI(),
		dockerapi.Networks{Manager: r.networks, Containers: r.containers},
		dockerapi.Volumes{Store: r.volumes},
		dockerapi.Streams[*container.Container]{Manager: r.containers, Log: h.log},
		dockerapi.Archives[*container.Container]{Manager: r.containers, Log: h.log},
		dockerapi.Containers{Manager: r.containers},
		dockerapi.NewBuilds(r.builder.open, h.log),
	}
}
