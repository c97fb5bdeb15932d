// Package sessionstest tests what sessions are made with: a suite that every Launcher must pass (RunLauncher), one for
// stores (RunStore), and a launcher and a store in memory whose failures a test can choose.
package sessionstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// Launcher is a sessions.Launcher whose sandboxes are HTTP servers in this process, reached over net.Pipe, so that it
// works inside testing/synctest too. Close it at the end of the test.
type Launcher struct {
	// Handler makes the API of a sandbox beside GET /v1/info; nil: the files of API.
	Handler func(sessions.ID) http.Handler
	// LaunchTime and CloseTime are how long a launch and a close take.
	LaunchTime, CloseTime time.Duration

	mu        sync.Mutex
	capacity  sessions.Capacity
	running   map[sessions.ID]*Sandbox
	counts    Counts
	most      int // sandboxes at once
	launching int
	failures  failures
}

// Counts is what a launcher did, by sandbox. A launch counts when it has succeeded, and so does a close.
type Counts struct {
	Launched map[sessions.ID]int
	Closed   map[sessions.ID]int
	Attempts int // launches, those that failed included
}

type failures struct {
	launch, hang, close int
	launchErr, closeErr error
	findErr, capErr     error
}

var _ sessions.Launcher = (*Launcher)(nil)

// NewLauncher returns a launcher on a host with 64 GiB of memory and 1 TiB of disk.
func NewLauncher() *Launcher {
	return &Launcher{
		capacity: sessions.Capacity{CPUs: 8, MemoryBytes: 64 << 30, DiskFree: 1 << 40},
		running:  make(map[sessions.ID]*Sandbox),
		counts:   Counts{Launched: make(map[sessions.ID]int), Closed: make(map[sessions.ID]int)},
	}
}

// Launch implements sessions.Launcher.
func (l *Launcher) Launch(ctx context.Context, id sessions.ID, spec sessions.Spec) (sessions.Sandbox, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("launch: %q is no ID", id)
	}
	if err := l.begin(id); err != nil {
		return nil, err
	}
	err := l.obey(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.launching--
	if err != nil {
		delete(l.running, id)
		return nil, fmt.Errorf("launch %s: %w", id, err)
	}
	s := newSandbox(l, id, spec)
	l.running[id] = s
	l.counts.Launched[id]++
	return s, nil
}

// begin takes the ID, so that it is not launched twice.
func (l *Launcher) begin(id sessions.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.running[id]; ok {
		return fmt.Errorf("launch %s: there is a sandbox of this ID", id)
	}
	l.running[id] = nil
	l.launching++
	l.counts.Attempts++
	l.most = max(l.most, len(l.running))
	return nil
}

// obey fails or hangs where the test asked for it, else takes its time.
func (l *Launcher) obey(ctx context.Context) error {
	l.mu.Lock()
	var err error
	hang := l.failures.hang > 0
	switch {
	case hang:
		l.failures.hang--
	case l.failures.launch > 0:
		l.failures.launch--
		err = l.failures.launchErr
	}
	l.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if err == nil && l.LaunchTime > 0 {
		timer := time.NewTimer(l.LaunchTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return errors.Join(err, context.Cause(ctx))
}

// Find implements sessions.Launcher.
func (l *Launcher) Find(_ context.Context, id sessions.ID) (sessions.Sandbox, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures.findErr != nil {
		return nil, l.failures.findErr
	}
	s := l.running[id]
	if s == nil || s.ended() {
		return nil, fmt.Errorf("find %s: %w", id, sessions.ErrNotFound)
	}
	return s, nil
}

// Sweep implements sessions.Launcher.
func (l *Launcher) Sweep(ctx context.Context, keep []sessions.ID) ([]sessions.ID, error) {
	l.mu.Lock()
	all := maps.Clone(l.running)
	l.mu.Unlock()
	var (
		removed []sessions.ID
		errs    []error
	)
	for id, s := range all {
		if s == nil || slices.Contains(keep, id) {
			continue
		}
		if err := s.Close(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, id)
	}
	return removed, errors.Join(errs...)
}

// Capacity implements sessions.Launcher.
func (l *Launcher) Capacity(context.Context) (sessions.Capacity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.capacity, l.failures.capErr
}

// Close ends what still runs, whatever failures were asked for.
func (l *Launcher) Close() {
	l.mu.Lock()
	all := maps.Clone(l.running)
	l.mu.Unlock()
	for _, s := range all {
		if s != nil {
			s.end(sessions.Exit{Reason: sessions.Closed})
		}
	}
}

// usageOf is a reading of a sandbox that does nothing.
func usageOf(l quotas.Limits) quotas.Usage {
	return quotas.Usage{
		CPU: 10 * time.Millisecond, MemoryBytes: 6 << 20, PIDs: 2,
		DiskBytes: 1 << 20, DiskFree: l.DiskBytes - 1<<20, DiskInodes: 16, InodesFree: l.DiskInodes - 16,
	}
}
