package stdio

import (
	"slices"
	"sync"
)

// heldRoom bounds what is kept back, in bytes: what a pipe takes too (pipe(7)).
const heldRoom = 64 << 10

// held is output that was read before it is known whether the process has started. The hub's mu guards all but the
// channels.
type held struct {
	on      bool // output is kept back
	dropped bool // the process has not started: nothing that comes is its
	pieces  []piece
	size    int

	decided chan struct{} // closed when it is known
	flowing chan struct{} // closed when nothing is kept back any more
	once    *sync.Once
}

// piece is what one read returned.
type piece struct {
	stream Stream
	data   []byte
}

func newHeld() held {
	return held{decided: make(chan struct{}), flowing: make(chan struct{}), once: &sync.Once{}}
}

// decide says once whether the process has started. The hub's mu is held.
func (k *held) decide(started bool) {
	k.once.Do(func() {
		k.dropped = k.on && !started
		close(k.decided)
	})
}

// Release passes on what was kept back: the process has started.
func (h *Hub) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held.decide(true)
}

// hold takes output that is not to be delivered, now or ever. It waits where enough is kept already.
func (h *Hub) hold(s Stream, p []byte) bool {
	h.mu.Lock()
	k := &h.held
	if k.on && !k.dropped && k.size < heldRoom {
		k.pieces, k.size = append(k.pieces, piece{s, slices.Clone(p)}), k.size+len(p)
		h.mu.Unlock()
		return true
	}
	on := k.on
	h.mu.Unlock()
	if on {
		<-k.flowing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return k.dropped
}

// passHeld delivers what was kept back, in the order in which it was read, as soon as that is decided.
func (h *Hub) passHeld() {
	<-h.held.decided
	for {
		h.mu.Lock()
		k := &h.held
		pieces := k.pieces
		k.pieces, k.size = nil, 0
		if k.dropped || len(pieces) == 0 {
			k.on = false
			h.mu.Unlock()
			close(k.flowing)
			return
		}
		h.mu.Unlock()
		for _, p := range pieces {
			h.deliver(p.stream, p.data)
		}
	}
}
