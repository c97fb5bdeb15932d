package sessions

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// pool is the finished sandboxes of one environment, kept ready so that a visitor does not wait. It is guarded by
// Manager.mu, and so are its sandboxes' stages.
type pool struct {
	env       Environment
	warm      []*warm   // launching or ready, the oldest first
	failures  int       // in a row
	notBefore time.Time // monotonic: the next launch after a failure
}

type warmStage int

const (
	warmLaunching warmStage = iota
	warmReady               // may be taken
	warmTaken               // by a session, which closes it
	warmLeaving             // given up or dead: it is being closed
)

// warm is one sandbox of a pool, with a goroutine that launches, watches and closes it until it is taken.
type warm struct {
	m       *Manager
	pool    *pool
	id      ID
	ctx     context.Context
	cancel  context.CancelFunc
	stage   warmStage // guarded by Manager.mu
	sandbox Sandbox   // set before it is ready
}

func (m *Manager) newWarm(p *pool, id ID) *warm {
	ctx, cancel := context.WithCancel(m.base)
	w := &warm{m: m, pool: p, id: id, ctx: ctx, cancel: cancel}
	p.warm = append(p.warm, w)
	m.room.take(id, shareOf(p.env.Limits))
	m.wg.Add(1)
	return w
}

func (w *warm) run() {
	defer w.m.wg.Done()
	defer w.cancel()
	if w.sandbox == nil && !w.launch() {
		return
	}
	w.watch()
	switch w.m.stageOf(w) {
	case warmTaken: // its session has it
	case warmLeaving:
		w.close()
	default: // the server stops: the next one finds it
	}
}

// launch makes the sandbox; where it fails nothing is left.
func (w *warm) launch() bool {
	m := w.m
	spec := m.spec(w.pool.env)
	sandbox, err := m.launch(w.ctx, w.id, spec)
	if err != nil {
		m.warmFailed(w, fmt.Errorf("launch sandbox %s: %w", w.id, err))
		m.freeRoom(w.id)
		return false
	}
	w.sandbox = sandbox
	now, _, _ := m.wall.read()
	err = m.write(w.ctx, func(ctx context.Context) error {
		return m.cfg.Store.SaveWarm(ctx, Warm{ID: w.id, Environment: w.pool.env.Name, Spec: spec, CreatedAt: now})
	})
	if err != nil {
		m.warmFailed(w, err)
		w.close()
		return false
	}
	m.warmIsReady(w)
	return true
}

// watch returns when the sandbox has ended by itself, was taken or given up, or when the server stops.
func (w *warm) watch() {
	for attempt := 0; ; attempt++ {
		exit, err := w.sandbox.Wait(w.ctx)
		if w.ctx.Err() != nil {
			return
		}
		if err == nil {
			w.m.warmFailed(w, fmt.Errorf("sandbox ended by itself: %s %s", exit.Reason, exit.Message))
			return
		}
		w.m.log.Warn("watch sandbox of the pool", "sandbox", w.id, "error", err)
		if !pause(w.ctx, retryAfter(attempt)) {
			return
		}
	}
}

func (w *warm) close() {
	m := w.m
	if err := m.write(w.ctx, func(ctx context.Context) error { return m.cfg.Store.DeleteWarm(ctx, w.id) }); err != nil {
		m.log.Error("forget sandbox of the pool", "sandbox", w.id, "error", err) // the next start finds that it is gone
	}
	if m.closeSandbox(w.ctx, w.id, w.sandbox) {
		m.freeRoom(w.id)
	}
}

func (p *pool) remove(w *warm) {
	p.warm = slices.DeleteFunc(p.warm, func(o *warm) bool { return o == w })
}

// ready counts the sandboxes that may be taken.
func (p *pool) ready() int {
	n := 0
	for _, w := range p.warm {
		if w.stage == warmReady {
			n++
		}
	}
	return n
}

func (m *Manager) stageOf(w *warm) warmStage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return w.stage
}

func (m *Manager) warmIsReady(w *warm) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.pool.failures = 0
	if w.stage == warmLaunching {
		w.stage = warmReady
	}
	m.settle()
}

// warmFailed takes a sandbox that could not be made, or died, out of the pool; the next try waits the longer the more
// often this happens in a row. A sandbox that was taken meanwhile is its session's.
func (m *Manager) warmFailed(w *warm, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.stage == warmTaken || w.stage == warmLeaving || m.base.Err() != nil {
		return
	}
	m.log.Warn("pool", "environment", w.pool.env.Name, "sandbox", w.id, "error", err)
	m.leave(w)
	w.pool.notBefore = time.Now().Add(retryAfter(w.pool.failures))
	w.pool.failures++
	nudge(m.refill)
}
