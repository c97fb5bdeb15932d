package build

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// reclaim frees what a failed build has left. Where the disk is short of room, the cache gives up at once what it would give up
// within a minute, and first the copies of contexts: half of one that did not fit is worth nothing.
func (b *Builder) reclaim(ctx context.Context) error {
	err := b.worker.GarbageCollect(ctx)
	if !b.short() {
		return err
	}
	runtime.GC() // fsutil leaves the file open that it could not write: its bytes stay until a finalizer closes it
	pruned := make(chan client.UsageInfo)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for range pruned { // nobody asks how much
		}
	}()
	policy := append([]client.PruneInfo{{Filter: []string{"type==source.local"}, All: true}}, b.worker.GCPolicy()...)
	err = errors.Join(err, b.worker.Prune(ctx, pruned, policy...))
	close(pruned)
	<-counted
	return errors.Join(err, b.worker.GarbageCollect(ctx))
}

// short reports whether the disk has less free, in bytes or in inodes, than the cache shall leave.
func (b *Builder) short() bool {
	var st unix.Statfs_t
	return unix.Statfs(b.o.Dir, &st) == nil && (st.Bavail*100 < st.Blocks*freeShare || st.Ffree*100 < st.Files*freeShare)
}

// tellFull adds that the disk is full to an error that does not say so: where a context does not fit, it depends on which side
// hears of it first whether BuildKit says that, or that something was canceled.
func (b *Builder) tellFull(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	answer, err := next(ctx, req)
	if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), unix.ENOSPC.Error()) || !b.short() {
		return answer, err
	}
	return answer, fmt.Errorf("%w: %w", err, unix.ENOSPC)
}
