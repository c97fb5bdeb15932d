package sessions

// settle hands free room to those who wait, in their order. Where the first does not fit it gives up sandboxes of the
// pools, as many as let more sessions in. Then everybody who waits is told their place. It is called under mu, after
// everything that frees room or changes the queue.
func (m *Manager) settle() {
	for m.queue.len() > 0 && m.fitsNext() {
		m.grant(m.queue.pop())
	}
	m.makeRoom()
	for i, t := range m.queue.tickets {
		t.hold.setPlace(i + 1)
	}
	nudge(m.refill)
}

func (m *Manager) fitsNext() bool {
	return m.phase == phaseOpen && m.room.fits(m.room.total, m.queue.tickets[0].hold.share())
}

// grant gives a session the room for its sandbox.
func (m *Manager) grant(h *hold) {
	m.room.take(h.id, h.share())
	m.launching[h.id] = struct{}{}
	close(h.granted)
}

// makeRoom gives up sandboxes of the pools for those who wait, counting on those that are being closed already.
func (m *Manager) makeRoom() {
	after := m.room.total
	for id := range m.leaving {
		after = after.minus(m.room.held[id])
	}
	for _, t := range m.queue.tickets {
		want := t.hold.share()
		for !m.room.fits(after, want) {
			freed, ok := m.giveUpWarm()
			if !ok {
				return
			}
			after = after.minus(freed)
		}
		after = after.plus(want)
	}
}

// share is what the session's sandbox takes of the host. Limits never change.
func (h *hold) share() share { return shareOf(h.limits) }

// launched notes that a visitor's launch is over, however it went.
func (m *Manager) launched(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.launching, id)
	nudge(m.refill)
}

// noteLaunch remembers whether launches work; one that was called off says nothing.
func (m *Manager) noteLaunch(err error, calledOff bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.failures, m.launchErr = 0, nil
	case !calledOff:
		m.failures++
		m.launchErr = err
	}
}

// freeRoom gives back the room of a sandbox that is gone. There need not have been one.
func (m *Manager) freeRoom(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room.free(id)
	delete(m.leaving, id)
	delete(m.remnants, id)
	m.settle()
}

// leaveQueue takes a session that ends out of the queue; from then on it cannot be granted room. It may have been until
// now, after it gave up waiting: that is no launch.
func (m *Manager) leaveQueue(h *hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.launching, h.id)
	nudge(m.refill)
	if m.queue.remove(h) {
		m.settle()
	}
}

// drop forgets a session that has ended: the store has it.
func (m *Manager) drop(h *hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, h.id)
}
