package sessions

import (
	"context"
	"fmt"
	"time"
)

// every calls f at each tick until the server stops.
func (m *Manager) every(d time.Duration, f func(ctx context.Context)) {
	defer m.wg.Done()
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-m.base.Done():
			return
		case <-ticker.C:
			f(m.base)
		}
	}
}

// watchClock moves the times that were told when the wall clock is set.
func (m *Manager) watchClock() {
	m.every(clockTick, func(context.Context) {
		by := m.wall.adjust()
		if by == 0 {
			return
		}
		m.log.Warn("the clock was set: sessions keep the time they have left", "by", by)
		for _, h := range m.holds() {
			if h.ctx.Err() != nil {
				continue
			}
			if err := h.change(func(*Record, time.Time) error { return nil }); err != nil {
				m.log.Error("move a session's expiry", "session", h.id, "error", err)
			}
		}
	})
}

// holds returns every live session that was told of.
func (m *Manager) holds() []*hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*hold, 0, len(m.live))
	for _, h := range m.live {
		if _, told := h.session(); told {
			list = append(list, h)
		}
	}
	return list
}

func (m *Manager) watchCapacity() { m.every(capacityTick, m.pollCapacity) }

// pollCapacity asks what the host has; room that has appeared is handed out.
func (m *Manager) pollCapacity(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c, err := m.cfg.Launcher.Capacity(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.roomErr = fmt.Errorf("capacity of the host: %w", err)
		m.log.Error("sessions cannot be created", "error", m.roomErr)
		return
	}
	m.room.host, m.roomErr = c, nil
	m.settle()
}

func (m *Manager) forgetEnded() {
	m.every(forgetTick, func(ctx context.Context) {
		err := m.write(ctx, func(ctx context.Context) error {
			_, err := m.cfg.Store.Forget(ctx, m.now().Add(-endedKept))
			return err
		})
		if err != nil {
			m.log.Error("forget ended sessions", "error", err)
		}
	})
}
