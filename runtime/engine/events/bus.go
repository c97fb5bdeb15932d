// Package events tells what happens in a Docker host to whoever listens: `docker events`, the pages, compose.
package events

import (
	"context"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
)

// kept is how many past events a listener may ask for, as Docker keeps them.
const kept = 256

// pending is how many events a listener may be behind before it is dropped.
const pending = 1024

// Bus hands each event to all listeners, in one order. The zero value is ready.
type Bus struct {
	mu        sync.Mutex
	past      []events.Message // oldest first
	listeners map[*Listener]struct{}
}

// Listener follows a Bus from one moment on.
type Listener struct {
	C    <-chan events.Message // closed when the listener was too slow, or by Close
	c    chan events.Message
	bus  *Bus
	once sync.Once
}

// Publish stamps an event and hands it out. It never waits.
func (b *Bus) Publish(typ events.Type, action events.Action, id string, attributes map[string]string) {
	at := time.Now()
	m := events.Message{
		Type: typ, Action: action, Actor: events.Actor{ID: id, Attributes: attributes}, Scope: "local",
		Time: at.Unix(), TimeNano: at.UnixNano(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.past) == kept {
		b.past = append(b.past[:0], b.past[1:]...)
	}
	b.past = append(b.past, m)
	for l := range b.listeners {
		select {
		case l.c <- m:
		default: // it does not read: a slow listener is dropped, never waited for
			delete(b.listeners, l)
			l.once.Do(func() { close(l.c) })
		}
	}
}

// Listen returns the events that are still known since a moment (none where it is zero), and a listener to those that
// come. Close it.
func (b *Bus) Listen(since time.Time) ([]events.Message, *Listener) {
	c := make(chan events.Message, pending)
	l := &Listener{C: c, c: c, bus: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = make(map[*Listener]struct{})
	}
	b.listeners[l] = struct{}{}
	var past []events.Message
	if !since.IsZero() {
		for _, m := range b.past {
			if m.TimeNano >= since.UnixNano() {
				past = append(past, m)
			}
		}
	}
	return past, l
}

// Next waits for an event. ok is false when there will be none.
func (l *Listener) Next(ctx context.Context) (m events.Message, ok bool) {
	select {
	case m, ok = <-l.C:
		return m, ok
	case <-ctx.Done():
		return m, false
	}
}

// Close ends listening. It may be called more than once.
func (l *Listener) Close() {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	delete(l.bus.listeners, l)
	l.once.Do(func() { close(l.c) })
}
