package build

import (
	"context"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/moby/api/types/build"

	"berth/runtime/engine/filter"
)

// Usage is what the cache takes of the session's disk.
type Usage struct {
	Records   []build.CacheRecord // those that images have, too, are marked as shared
	Size      int64               // bytes of those that are the cache's alone
	Committed int64               // of these, bytes that stand among the layers and blobs of the image store
}

// Cache lists what the cache has.
func (b *Builder) Cache(ctx context.Context) (Usage, error) {
	list, err := b.worker.DiskUsage(ctx, client.DiskUsageInfo{})
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{Records: make([]build.CacheRecord, len(list))}
	for i, u := range list {
		if !u.Shared {
			usage.Size += u.Size
		}
		if !u.Shared && !u.Mutable {
			usage.Committed += u.Size
		}
		usage.Records[i] = build.CacheRecord{
			ID: u.ID, Parents: u.Parents, Type: string(u.RecordType), Description: u.Description, InUse: u.InUse, Shared: u.Shared,
			Size: u.Size, CreatedAt: u.CreatedAt, LastUsedAt: u.LastUsedAt, UsageCount: u.UsageCount,
		}
	}
	return usage, nil
}

// PruneOptions are those of `docker builder prune`.
type PruneOptions struct {
	All                  bool
	Filters              filter.Args
	Reserved, Used, Free int64 // bytes
	Until                time.Time
}

// PruneFilters are those that Prune understands, beside until.
var PruneFilters = []string{"id", "parent", "type", "description", "inuse", "shared", "private"}

// Prune removes what no build uses, and returns the records that went and the bytes that are free now.
func (b *Builder) Prune(ctx context.Context, o PruneOptions) (ids []string, freed int64, err error) {
	info := client.PruneInfo{All: o.All, ReservedSpace: o.Reserved, MaxUsedSpace: o.Used, MinFreeSpace: o.Free}
	if !o.Until.IsZero() {
		info.KeepDuration = max(time.Since(o.Until), 0)
	}
	for _, name := range PruneFilters {
		for _, v := range o.Filters.Values(name) {
			switch name {
			case "id":
				info.Filter = append(info.Filter, name+"~="+v)
			case "inuse", "shared", "private":
				info.Filter = append(info.Filter, name)
			default:
				info.Filter = append(info.Filter, name+"=="+v)
			}
		}
	}
	gone := make(chan client.UsageInfo)
	pruned := make(chan error, 1)
	go func() {
		pruned <- b.worker.Prune(ctx, gone, info)
		close(gone)
	}()
	ids = []string{} // clients want a list
	for u := range gone {
		ids = append(ids, u.ID)
		freed += u.Size
	}
	return ids, freed, <-pruned
}
