package sessions

import (
	"context"
	"time"

	"berth/quotas"
)

// watchUsage reads what the sandbox holds, tells it to those who watch, and gives notice of limits that were met.
func (h *hold) watchUsage(sandbox Sandbox) {
	n := noticer{limits: h.limits}
	known := !h.adopted // what happened before this server was told by the last one
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.watched: // somebody does not want to wait for the slower pace
			timer.Reset(max(usageWatched-time.Since(last), 0))
			continue
		case <-timer.C:
		}
		last = time.Now()
		if u, ok := h.readUsage(sandbox); ok {
			if !known {
				n.begin(u)
				known = true
			}
			h.m.noteUsage(h.id, u)
			h.tellUsage(u)
			for _, notice := range n.look(u, last) {
				h.notify(notice)
			}
		}
		next := usageUnwatched
		if h.isWatched() {
			next = usageWatched
		}
		timer.Reset(next)
	}
}

func (h *hold) readUsage(sandbox Sandbox) (quotas.Usage, bool) {
	ctx, cancel := context.WithTimeout(h.ctx, usageTimeout)
	defer cancel()
	u, err := sandbox.Usage(ctx)
	if err != nil && h.ctx.Err() == nil {
		h.m.log.Warn("read usage", "session", h.id, "error", err)
	}
	return u, err == nil
}

func (m *Manager) noteUsage(id ID, u quotas.Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room.use(id, u.DiskBytes)
}
