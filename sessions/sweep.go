package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"

	"berth/quotas"
)

const gateSize = 1 << 30

// launch makes a sandbox. It waits for a sweep that is under way.
func (m *Manager) launch(owner context.Context, id ID, spec Spec) (Sandbox, error) {
	ctx, cancel := context.WithTimeout(owner, m.cfg.LaunchTimeout)
	defer cancel()
	if err := m.gate.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait for the sweep: %w", err)
	}
	defer m.gate.Release(1)
	sandbox, err := m.cfg.Launcher.Launch(ctx, id, spec)
	m.noteLaunch(err, owner.Err() != nil)
	return sandbox, err
}

// sweep removes every sandbox that nobody holds, and what is left of such, while nothing is being launched.
func (m *Manager) sweep(ctx context.Context, keep []ID) error {
	removed, err := m.cfg.Launcher.Sweep(ctx, keep)
	if len(removed) > 0 {
		m.log.Info("swept", "sandboxes", removed)
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// remnant stands for what is left of a sandbox that does not run any more and that the sweep at the start could not
// remove. Closing it sweeps again: until that succeeds its room is not handed on.
type remnant struct{ m *Manager }

var errRemnant = errors.New("the sandbox is gone")

// Dial implements Sandbox.
func (remnant) Dial(context.Context) (net.Conn, error) { return nil, errRemnant }

// Usage implements Sandbox.
func (remnant) Usage(context.Context) (quotas.Usage, error) { return quotas.Usage{}, errRemnant }

// Wait implements Sandbox.
func (remnant) Wait(context.Context) (Exit, error) {
	return Exit{Reason: Crashed, Message: errRemnant.Error()}, nil
}

// Close implements Sandbox.
func (r remnant) Close(ctx context.Context) error {
	if err := r.m.gate.Acquire(ctx, gateSize); err != nil {
		return fmt.Errorf("wait for launches: %w", err)
	}
	defer r.m.gate.Release(gateSize)
	return r.m.sweep(ctx, r.m.holders())
}

// holders returns the sandboxes that are held, without those of which only remnants are left.
func (m *Manager) holders() []ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []ID
	for id := range m.room.held {
		if _, gone := m.remnants[id]; !gone {
			ids = append(ids, id)
		}
	}
	return ids
}

// sweepStrays goes on with a sweep that failed at the start, for what is in no record.
func (m *Manager) sweepStrays() {
	defer m.wg.Done()
	m.closeSandbox(m.base, "", remnant{m})
}
