package dockerapi

import (
	"context"
	"net/http"
	"sync"

	"github.com/distribution/reference"
)

// runningBuilds are those that can be cancelled by an ID of the client's. The zero value is ready.
type runningBuilds struct {
	mu     sync.Mutex
	cancel map[string]context.CancelFunc
}

// cancellable gives a build a context that POST /build/cancel ends. done must be called.
func (b Builds) cancellable(ctx context.Context, id string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	if id == "" {
		return ctx, cancel
	}
	b.running.mu.Lock()
	defer b.running.mu.Unlock()
	if b.running.cancel == nil {
		b.running.cancel = map[string]context.CancelFunc{}
	}
	b.running.cancel[id] = cancel
	return ctx, func() {
		cancel()
		b.running.mu.Lock()
		defer b.running.mu.Unlock()
		delete(b.running.cancel, id)
	}
}

// cancelBuild ends a build; one that is not running, or not any more, is no error.
func (b Builds) cancelBuild(w http.ResponseWriter, r *http.Request) error {
	id := r.FormValue("id")
	if id == "" {
		return Invalid("build ID not provided")
	}
	b.running.mu.Lock()
	cancel := b.running.cancel[id]
	b.running.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// familiarTag is a tag as Docker shows it.
func familiarTag(t string) string {
	n, err := reference.ParseNormalizedNamed(t)
	if err != nil {
		return t
	}
	return reference.FamiliarString(reference.TagNameOnly(n))
}
