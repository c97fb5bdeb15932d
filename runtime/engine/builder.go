package engine

import (
	"context"
	"path/filepath"
	"sync"

	"berth/runtime/engine/build"
)

// lazyBuilder is the builder, which the first build makes: a session without one pays nothing for it.
type lazyBuilder struct {
	ctx     context.Context // of the sandbox
	options build.Options

	mu      sync.Mutex
	builder *build.Builder
}

func (h *host) planBuilder(r *rooms) error {
	r.builder = &lazyBuilder{ctx: h.ctx, options: build.Options{
		Dir: filepath.Join(hostDir, "buildkit"), RunDir: filepath.Join(hostRun, "build"), Images: r.images, Networks: r.networks,
		Runtime: h.runtime, Mirrors: h.config.Mirrors, Watch: r.watch, Log: h.log,
	}}
	return nil
}

// open returns the builder, and makes it where there is none yet.
func (l *lazyBuilder) open(context.Context) (*build.Builder, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builder != nil {
		return l.builder, nil
	}
	b, err := build.Open(l.ctx, l.options) //nolint:contextcheck // it outlives the request
	l.builder = b
	return b, err
}

// existing is the builder, nil where nothing has been built.
func (l *lazyBuilder) existing() *build.Builder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.builder
}
