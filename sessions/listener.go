package sessions

import (
	"context"
	"slices"
	"sync"
)

// backlog is how many events wait for a slow listener before the oldest are dropped.
const backlog = 64

// listener hands one watcher the events of a session. Putting an event in never waits.
type listener struct {
	out  chan Event
	more chan struct{} // holds one

	mu      sync.Mutex
	pending []Event
	last    bool // no event will follow those that are pending
}

func newListener() *listener {
	return &listener{out: make(chan Event), more: make(chan struct{}, 1)}
}

// put queues an event. Of usage only the newest waits; beyond the backlog the oldest notice is dropped, else the
// oldest event: the newest state always arrives.
func (l *listener) put(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Type == EventUsage {
		l.pending = slices.DeleteFunc(l.pending, func(o Event) bool { return o.Type == EventUsage })
	}
	if len(l.pending) >= backlog {
		at := max(slices.IndexFunc(l.pending, func(o Event) bool { return o.Type == EventNotice }), 0)
		l.pending = slices.Delete(l.pending, at, at+1)
	}
	l.pending = append(l.pending, e)
	nudge(l.more)
}

// finish says that no event follows.
func (l *listener) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = true
	nudge(l.more)
}

func (l *listener) take() (e Event, ok, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return Event{}, false, l.last
	}
	e = l.pending[0]
	l.pending = slices.Delete(l.pending, 0, 1)
	return e, true, false
}

// serve passes events on until there are no more, ctx ends or stop is closed; then it closes out.
func (l *listener) serve(ctx context.Context, stop <-chan struct{}) {
	defer close(l.out)
	for {
		e, ok, last := l.take()
		switch {
		case last:
			return
		case ok:
			select {
			case l.out <- e:
			case <-ctx.Done():
				return
			case <-stop:
				return
			}
		default:
			select {
			case <-l.more:
			case <-ctx.Done():
				return
			case <-stop:
				return
			}
		}
	}
}
