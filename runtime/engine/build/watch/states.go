package watch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	"golang.org/x/sys/unix"
)

// Limits of what is kept so that terminals can be opened in it. The files of finished steps are the cache's, and stay as long
// as it keeps them; those of a failed step would be gone, and take room.
const (
	heldTime   = 15 * time.Minute
	heldBuilds = 4
	heldFree   = 15 // percent of the disk that must be free: a step that filled it is not kept
)

// state is the files of a step, and how a process would see them.
type state struct {
	worker    worker.Worker
	ref       string   // the record in the cache; empty: held
	snapshots []string // its files: one of these names
	layer     bool     // they are a layer of the step's own
	meta      *pb.Meta
	mounts    []*pb.Mount
	held      []solver.Result // of a failed step: by mount, nil for those without files
}

// kept is what the steps of one build have left.
type kept struct {
	steps  map[string]*state
	holds  bool // it has results that it must release
	expire *time.Timer
	visits map[*visit]struct{} // open terminals
}

// States keeps what steps have left. It is safe for concurrent use.
type States struct {
	log  *slog.Logger
	disk string // a path on the session's disk; empty: its room is not looked at

	ctx   context.Context //nolint:containedctx // what is held outlives the builds that it is of
	freed func()          // is told when something held was given up; it must not wait

	mu     sync.Mutex
	builds map[string]*kept
	order  []string // builds that hold something, oldest first
	open   int      // terminals
	opened int      // so far
	closed bool
}

func newStates(log *slog.Logger, disk string) *States {
	return &States{log: log, disk: disk, builds: map[string]*kept{}}
}

func (s *States) attach(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx
}

// build finds what is kept of a build, or begins. The caller holds mu.
func (s *States) build(id string) *kept {
	b := s.builds[id]
	if b == nil {
		b = &kept{steps: map[string]*state{}, visits: map[*visit]struct{}{}}
		s.builds[id] = b
	}
	return b
}

// finished notes the files of a step that is in the cache.
func (s *States) finished(build, step string, st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.build(build).steps[step] = st
	}
}

// failed keeps the files of a step that failed, for a while.
func (s *States) failed(build, step string, st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.room() {
		st.release(s.ctx, s.log)
		return
	}
	b := s.build(build)
	b.steps[step] = st
	if !b.holds {
		b.holds = true
		b.expire = time.AfterFunc(heldTime, func() { s.release(build) })
		s.order = append(s.order, build)
	}
	if len(s.order) > heldBuilds {
		s.drop(s.order[0])
	}
}

// room reports whether the disk has room for what would otherwise be freed.
func (s *States) room() bool {
	var st unix.Statfs_t
	if s.disk == "" || unix.Statfs(s.disk, &st) != nil {
		return true
	}
	return st.Bavail*100 >= st.Blocks*heldFree
}

// makeRoom gives up what is held of failed steps, where the next build may need its room.
func (s *States) makeRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.order) > 0 && !s.room() {
		s.drop(s.order[0])
	}
}

func (s *States) find(build, step string) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.builds[build]; b != nil {
		return b.steps[step]
	}
	return nil
}

// release gives up the files of failed steps of a build.
func (s *States) release(build string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(build)
}

// drop is release, with mu held.
func (s *States) drop(build string) {
	b := s.builds[build]
	if b == nil || !b.holds {
		return
	}
	b.holds = false
	b.expire.Stop()
	for id, st := range b.steps {
		if st.held != nil {
			delete(b.steps, id)
			st.release(s.ctx, s.log)
		}
	}
	s.freed()
	for i, id := range s.order {
		if id == build {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
}

// forget gives up all of a build, and ends its terminals.
func (s *States) forget(build string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(build)
	if b := s.builds[build]; b != nil {
		for open := range b.visits {
			open.kill()
		}
		if len(b.visits) == 0 {
			delete(s.builds, build)
		} else {
			clear(b.steps) // the rest goes with its last terminal
		}
	}
}

func (s *States) close() {
	s.mu.Lock()
	all := make([]string, 0, len(s.builds))
	for id := range s.builds {
		all = append(all, id)
	}
	s.closed = true
	s.mu.Unlock()
	for _, id := range all {
		s.forget(id)
	}
}

// release gives up results that are held.
func (st *state) release(ctx context.Context, log *slog.Logger) {
	for _, r := range st.held {
		if r == nil {
			continue
		}
		if err := r.Release(ctx); err != nil {
			log.Warn("release the files of a failed step", "error", err)
		}
	}
	st.held = nil
}

// refs are the files of a step's mounts, to be released by the caller; nil where a mount has none.
func (st *state) refs(ctx context.Context) ([]*worker.WorkerRef, error) {
	if st.ref != "" {
		ref, err := st.worker.CacheManager().Get(ctx, st.ref, nil)
		if err != nil {
			return nil, fmt.Errorf("the files of this step are no longer in the build cache: build again: %w", errdefs.ErrNotFound)
		}
		return []*worker.WorkerRef{{ImmutableRef: ref, Worker: st.worker}}, nil
	}
	refs := make([]*worker.WorkerRef, len(st.held))
	for i, r := range st.held {
		if r == nil {
			continue
		}
		if ref, ok := r.Sys().(*worker.WorkerRef); ok && ref.ImmutableRef != nil {
			refs[i] = &worker.WorkerRef{ImmutableRef: ref.ImmutableRef.Clone(), Worker: ref.Worker}
		}
	}
	return refs, nil
}

// Keys of BuildKit's metadata of a record: cache/metadata.go.
const keySnapshot = "cache.snapshot"

// snapshotsOf are the names of the snapshot that has a record's files: the one it gets when it is committed, and the one it has
// until then.
func snapshotsOf(ref cache.ImmutableRef) []string {
	names := []string{snapshotName(ref)}
	if mutable, ok := ref.GetEqualMutable(); ok && mutable != nil {
		names = append(names, snapshotName(mutable))
	}
	return names
}

func snapshotName(md cache.RefMetadata) string {
	if name := md.GetString(keySnapshot); name != "" {
		return name
	}
	return md.ID()
}
