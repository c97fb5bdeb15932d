package build

import (
	"context"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/image"
)

// DiskUsage is of worker.Worker: what the cache takes of the session's disk.
func (w *localWorker) DiskUsage(ctx context.Context, opt client.DiskUsageInfo) ([]*client.UsageInfo, error) {
	list, err := w.Worker.DiskUsage(ctx, opt)
	if err != nil {
		return nil, err
	}
	for _, u := range list {
		u.Size -= min(u.Size, w.elsewhere(ctx, u.ID))
	}
	return list, nil
}

// sharedRecords tells which records of the cache have the files of an image's layers: to remove them frees nothing.
func (w *localWorker) sharedRecords(ctx context.Context) (cache.ExternalRefChecker, error) {
	owners, err := w.o.Images.Owners(ctx)
	return sharedRecords{w.MetadataStore, owners}, err
}

type sharedRecords struct {
	records *metadata.Store
	owners  map[string]bool
}

// Exists is of cache.ExternalRefChecker.
func (s sharedRecords) Exists(id string, _ []digest.Digest) bool {
	item, ok := s.records.Get(id)
	if !ok {
		return false
	}
	name := id
	if v := item.Get(keySnapshot); v != nil {
		if err := v.Unmarshal(&name); err != nil {
			return false
		}
	}
	return s.owners[name]
}

// elsewhere is how many bytes of a record are of a blob that does not stand on the session's disk: BuildKit takes all blobs that
// it can read for its own.
func (w *localWorker) elsewhere(ctx context.Context, id string) int64 {
	item, ok := w.MetadataStore.Get(id)
	if !ok {
		return 0
	}
	var blob string
	if v := item.Get(keyBlob); v == nil || v.Unmarshal(&blob) != nil || blob == "" {
		return 0
	}
	ctx = namespaces.WithNamespace(ctx, image.Namespace)
	if _, err := w.o.Images.Metadata().ContentStore().Info(ctx, digest.Digest(blob)); err == nil {
		return 0
	}
	info, err := w.o.Images.Elsewhere(ctx, digest.Digest(blob))
	if err != nil {
		return 0
	}
	return info.Size
}

// Prune is of worker.Worker. Limits are those of what stands on the disk, and so are the sizes that are told.
func (w *localWorker) Prune(ctx context.Context, to chan client.UsageInfo, opts ...client.PruneInfo) error {
	list, err := w.Worker.DiskUsage(ctx, client.DiskUsageInfo{})
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	var sum int64
	for _, u := range list {
		sizes[u.ID] = w.elsewhere(ctx, u.ID)
		sum += sizes[u.ID]
		if u.Shared { // images keep it
			sizes[u.ID] = u.Size
		}
	}
	for i := range opts {
		if opts[i].MaxUsedSpace > 0 {
			opts[i].MaxUsedSpace += sum
		}
		if opts[i].ReservedSpace > 0 {
			opts[i].ReservedSpace += sum
		}
	}
	told := make(chan client.UsageInfo)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for u := range told {
			u.Size -= min(u.Size, sizes[u.ID])
			to <- u
		}
	}()
	err = w.Worker.Prune(ctx, told, opts...)
	close(told)
	<-done
	return err
}
