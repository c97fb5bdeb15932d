package sessions

import "time"

// keepPool keeps the pools filled. It launches one sandbox at a time, with pauses, and none while a visitor waits for
// one: the pool never competes with them.
func (m *Manager) keepPool() {
	defer m.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.base.Done():
			return
		case <-m.refill:
		case <-timer.C:
		}
		w, next := m.nextWarm()
		if w != nil {
			go w.run()
		}
		timer.Reset(next)
	}
}

// nextWarm returns a sandbox to launch for a pool, or nil, and when to look again unless refill says so earlier.
func (m *Manager) nextWarm() (*warm, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != phaseOpen || m.queue.len() > 0 || len(m.launching) > 0 {
		return nil, time.Minute
	}
	if since := time.Since(m.lastRefill); since < refillPace {
		return nil, refillPace - since
	}
	next := time.Minute
	for _, env := range m.cfg.Environments {
		p := m.pools[env.Name]
		if len(p.warm) > p.ready() {
			return nil, time.Minute // one is being launched; it says when it is done
		}
		wait := time.Until(p.notBefore)
		switch {
		case len(p.warm) >= env.Pool || !m.room.fits(m.room.total, shareOf(env.Limits)):
		case wait > 0:
			next = min(next, wait)
		default:
			m.lastRefill = time.Now()
			return m.newWarm(p, NewID()), refillPace
		}
	}
	return nil, next
}

// giveUpWarm takes one sandbox out of the fullest pool so that its room goes to a visitor; one that is not finished
// goes first. It returns its share, or false where the pools are empty. It is called under mu.
func (m *Manager) giveUpWarm() (share, bool) {
	var from *pool
	for _, env := range m.cfg.Environments {
		if p := m.pools[env.Name]; from == nil || len(p.warm) > len(from.warm) {
			from = p
		}
	}
	if from == nil || len(from.warm) == 0 {
		return share{}, false
	}
	w := from.warm[0]
	for _, o := range from.warm {
		if o.stage == warmLaunching {
			w = o
		}
	}
	m.leave(w)
	return m.room.held[w.id], true
}

// leave sends a sandbox out of its pool to be closed; it is called under mu.
func (m *Manager) leave(w *warm) {
	w.stage = warmLeaving
	w.pool.remove(w)
	m.leaving[w.id] = struct{}{}
	w.cancel()
}

// takeWarm takes a finished sandbox out of a pool, or returns nil; it is called under mu.
func (m *Manager) takeWarm(env string) *warm {
	p := m.pools[env]
	for _, w := range p.warm {
		if w.stage == warmReady {
			w.stage = warmTaken
			p.remove(w)
			w.cancel()
			nudge(m.refill)
			return w
		}
	}
	return nil
}
