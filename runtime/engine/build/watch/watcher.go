// Package watch looks over BuildKit's shoulder. It stands between the clients and the controller, so that whoever solves is
// seen, and between the controller and the frontend of Dockerfiles, so that it knows which line made which step, how large
// its layer is, and in what state a step left its files. What it sees goes to package record; the states are kept for a
// while, so that a terminal can be opened in them.
package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"

	"berth/runtime/engine/build/record"
)

// MaxDuration is how long a build may take. One that never ends is ended, and says so.
const MaxDuration = time.Hour

// settleTime bounds the wait for the last messages of a build that has ended.
const settleTime = 2 * time.Second

// Options say what a Watcher works with.
type Options struct {
	Records *record.Store
	// ImageSize returns the bytes of an image of the session; 0 where it is not known.
	ImageSize func(ctx context.Context, id string) int64
	// Usage returns the bytes of a snapshot.
	Usage func(ctx context.Context, snapshot string) (int64, error)
	Disk  string // a path on the session's disk
	Log   *slog.Logger
}

// Control is the controller, as far as it is asked.
type Control interface {
	Status(*controlapi.StatusRequest, controlapi.Control_StatusServer) error
}

// Watcher sees all builds of a session. It is safe for concurrent use.
type Watcher struct {
	o      Options
	states *States

	mu      sync.Mutex
	control Control
	collect func()
	runs    map[string]*run  // by BuildKit's name of the build
	sizes   map[string]int64 // of snapshots
	ending  sync.WaitGroup
}

// New returns a Watcher that has still to be attached.
func New(o Options) *Watcher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{o: o, states: newStates(o.Log, o.Disk), runs: map[string]*run{}, sizes: map[string]int64{}}
	w.states.freed = w.tidy
	o.Records.Forgot(w.states.forget)
	return w
}

// Attach says which controller solves, and what frees the room of files that nobody holds any more. Ctx is the builder's life.
func (w *Watcher) Attach(ctx context.Context, c Control, collect func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.control = c
	w.states.attach(context.WithoutCancel(ctx))
	w.collect = func() {
		if err := collect(ctx); err != nil && ctx.Err() == nil {
			w.o.Log.Warn("free what a failed build has left", "error", err)
		}
	}
}

// tidy frees what a failed step has left and nobody holds any more: it may have filled the disk.
func (w *Watcher) tidy() {
	w.mu.Lock()
	collect := w.collect
	w.mu.Unlock()
	if collect != nil {
		w.ending.Go(collect)
	}
}

// States are what the steps of builds have left.
func (w *Watcher) States() *States { return w.states }

// Close gives up what is kept for terminals, and ends them.
func (w *Watcher) Close() {
	w.states.close()
	w.ending.Wait()
}

// Settle returns when all is recorded of a build whose Solve has returned.
func (w *Watcher) Settle(ref string) {
	if r := w.find(ref); r != nil {
		<-r.done
	}
}

func (w *Watcher) find(ref string) *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[ref]
}

func (w *Watcher) add(ref string, r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[ref] = r
}

func (w *Watcher) remove(ref string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, ref)
}
