package engine

import (
	"context"
	goruntime "runtime"
	"sync"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"

	enginecontainer "berth/runtime/engine/container"
	"berth/runtime/engine/dockerapi"
	engineimage "berth/runtime/engine/image"
)

// system answers what is asked of the host as a whole.
func (h *host) system(r *rooms) *dockerapi.System {
	s := &dockerapi.System{
		Version: h.version, Hostname: h.config.Hostname, Runc: h.runcVersion(),
		Limits: dockerapi.Limits{
			CPUs: goruntime.NumCPU(), MemoryBytes: h.config.Proc.MemoryBytes, CgroupV2: h.runtime.Cgroups.Unified,
		},
		Counts: r.counts, Usage: r.usage,
	}
	for _, c := range []string{"memory", "cpu", "cpuset", "pids"} {
		if h.runtime.Cgroups.Has(c) {
			s.Limits.Controllers = append(s.Limits.Controllers, c)
		}
	}
	return s
}

// runcVersion asks runc once.
func (h *host) runcVersion() func(context.Context) string {
	var once sync.Once
	var version string
	return func(ctx context.Context) string {
		once.Do(func() {
			out, err := h.runtime.Version(ctx)
			if err != nil {
				h.log.Warn("version of runc", "error", err)
			}
			version = out
		})
		return version
	}
}

func (r *rooms) counts(ctx context.Context) (c dockerapi.Counts, err error) {
	list, err := r.containers.List(ctx, enginecontainer.ListOptions{All: true})
	if err != nil {
		return c, err
	}
	for _, one := range list {
		switch one.State {
		case container.StateRunning, container.StateRestarting:
			c.Running++
		case container.StatePaused:
			c.Paused++
		default:
			c.Stopped++
		}
	}
	images, err := r.images.List(ctx)
	c.Images = len(images)
	return c, err
}

// usage is what stands on the session's disk, for system df.
func (r *rooms) usage(ctx context.Context) (u dockerapi.Usage, err error) {
	if u.LayersSize, err = r.images.DiskUsage(ctx); err != nil {
		return u, err
	}
	if u.Containers, err = r.containers.DiskUsage(ctx); err != nil {
		return u, err
	}
	if u.Volumes, err = r.volumes.DiskUsage(ctx); err != nil {
		return u, err
	}
	if u.Images, err = r.imageAPI().Summaries(ctx); err != nil {
		return u, err
	}
	return u, r.cacheUsage(ctx, &u)
}

// cacheUsage adds the build cache. It stands among the layers and blobs of images: what is the cache's alone is not theirs.
func (r *rooms) cacheUsage(ctx context.Context, u *dockerapi.Usage) error {
	u.BuildCache = []build.CacheRecord{}
	b := r.builder.existing()
	if b == nil {
		return nil
	}
	usage, err := b.Cache(ctx)
	if err != nil {
		return err
	}
	u.BuildCache, u.BuilderSize, u.LayersSize = usage.Records, usage.Size, u.LayersSize-usage.Committed
	return nil
}

// imageAPI answers for the images.
func (r *rooms) imageAPI() dockerapi.Images {
	return dockerapi.Images{Store: r.images, Used: func(id string) int { return len(r.imageUsers(id)) }}
}

// imageUsers are the containers that were made of an image.
func (r *rooms) imageUsers(id string) []engineimage.User {
	var users []engineimage.User
	for _, c := range r.containers.MadeOf(id) {
		users = append(users, engineimage.User{ID: c.ID, Ref: c.Ref, Running: c.Running})
	}
	return users
}
