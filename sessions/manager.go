package sessions

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Manager is the domain: it creates sessions, supervises them and ends them. Make one with New, then Start it; it is
// safe for use by many goroutines.
type Manager struct {
	cfg  Config
	log  *slog.Logger
	envs map[string]Environment
	wall *wall

	base   context.Context // ends when the server stops
	stop   context.CancelCauseFunc
	wg     sync.WaitGroup
	refill chan struct{}       // holds one: the pools may have room to fill
	gate   *semaphore.Weighted // a launch takes one, a sweep takes all: what is being launched is not swept

	mu         sync.Mutex
	phase      phase
	live       map[ID]*hold // every session that has not ended, also those that are not told of yet
	queue      queue
	seq        int64 // of the session that came last
	room       room
	roomErr    error // why the host's capacity is not known
	pools      map[string]*pool
	leaving    map[ID]struct{} // sandboxes of the pools that are being closed
	launching  map[ID]struct{} // visitors' sandboxes that are being launched
	remnants   map[ID]struct{} // what earlier servers' sandboxes left, and could not be swept yet
	failures   int             // launches that failed, in a row
	launchErr  error           // the last of them
	lastRefill time.Time       // monotonic
}

type phase int

const (
	phaseNew phase = iota
	phaseOpen
	phaseClosing
)

// New checks the configuration and returns a manager that holds nothing yet.
func New(c Config) (*Manager, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg: c, log: c.Log, wall: newWall(c.WallClock), envs: make(map[string]Environment), refill: make(chan struct{}, 1),
		live: make(map[ID]*hold), room: newRoom(c.Limits), pools: make(map[string]*pool),
		leaving: make(map[ID]struct{}), launching: make(map[ID]struct{}),
		remnants: make(map[ID]struct{}), gate: semaphore.NewWeighted(gateSize),
	}
	for _, e := range c.Environments {
		m.envs[e.Name] = e
		m.pools[e.Name] = &pool{env: e}
	}
	return m, nil
}

// Environments returns what sessions can start from, in the configured order.
func (m *Manager) Environments() []Environment { return slices.Clone(m.cfg.Environments) }

// now is the time of day.
func (m *Manager) now() time.Time {
	now, _, _ := m.wall.read()
	return now
}

// write calls the store with a deadline of its own: whoever asked may have gone, what was begun is still kept.
func (m *Manager) write(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return f(ctx)
}

func (m *Manager) save(ctx context.Context, r Record) error {
	err := m.write(ctx, func(ctx context.Context) error { return m.cfg.Store.Save(ctx, r) })
	if err != nil {
		return fmt.Errorf("keep session %s: %w", r.Session.ID, err)
	}
	return nil
}

// begin counts a goroutine that Close waits for; it reports false where the server is not open.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != phaseOpen {
		return false
	}
	m.wg.Add(1)
	return true
}
