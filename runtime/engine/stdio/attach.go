package stdio

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// answerTime is how long a process must be silent after the last input of a client that leaves then.
const answerTime = 300 * time.Millisecond

// ErrGone says that a client has left without a word.
var ErrGone = errors.New("the client has gone")

// AttachOptions say what a client gives and takes.
type AttachOptions struct {
	// Stdin is the client's input; nil: none. A process whose hub has no input leaves it unread. Its end ends the
	// process's input where StdinOnce is set and there is no terminal. Without StdinOnce it ends the attachment, as in
	// Docker, but not before the answer to it could come: echo ps | docker attach shell.
	Stdin io.Reader
	// StdinDone, if not nil, is called when Stdin is not read any more, or will not be.
	StdinDone func()
	// Stdout and Stderr may be the same, are written by one goroutine, and are left out where nil.
	Stdout, Stderr io.Writer
	// DetachKeys leave without ending the process, on a terminal; nil: ctrl-p ctrl-q.
	DetachKeys []byte
	// Replay writes what the log holds before what comes: no byte is missing between, or there twice.
	Replay bool
	// NoStream ends after Replay.
	NoStream bool
	// Gone is closed when the client takes no more output; nil: writing to it tells.
	Gone <-chan struct{}
	// Ready is called when no output will be missed any more, before anything is written.
	Ready func()
	// Interrupt makes pending reads and writes of the client's streams return. It is called once, when all is delivered
	// or nothing more will be. Without it they must end by themselves: Attach waits for them.
	Interrupt func()
}

// Attach connects a client until the process and its output have ended and all of it is delivered: nil; or until the client
// leaves: ErrDetached, ErrGone, the error of writing to it, or ctx's cause. What a client that has gone sent before is
// still passed on.
func (h *Hub) Attach(ctx context.Context, a AttachOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := newViewer(a.Stdout, a.Stderr)
	past := h.join(v, a.Replay)
	defer h.remove(v)
	if a.Ready != nil {
		a.Ready()
	}
	interrupt := func() {}
	if a.Interrupt != nil {
		interrupt = sync.OnceFunc(a.Interrupt)
	}
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() {
		select {
		case <-ctx.Done():
			v.leave(context.Cause(ctx))
			interrupt()
		case <-a.Gone:
			v.leave(ErrGone)
		}
	})
	if err := past.replay(ctx, a); err != nil || a.NoStream {
		v.leave(err)
	}
	fed := make(chan struct{})
	background.Go(func() {
		defer close(fed)
		detached := a.Stdin != nil && h.openStdin && !a.NoStream && h.serveInput(ctx, v, a)
		if a.StdinDone != nil {
			a.StdinDone()
		}
		if detached {
			interrupt()
		}
	})
	err := v.deliver()
	h.remove(v) // nobody waits for it, while its input ends
	if err != nil && !errors.Is(err, ErrDetached) {
		select {
		case <-fed:
		case <-h.done:
		case <-ctx.Done():
		}
	}
	cancel()
	interrupt()
	return err
}

// join makes v a viewer; what it will see begins where the snapshot ends.
func (h *Hub) join(v *viewer, replay bool) (past *snapshot) {
	h.order.Lock()
	defer h.order.Unlock()
	if replay {
		past = h.snapshot()
	}
	h.add(v)
	return past
}

// serveInput passes on the client's input, and reports whether it has detached.
func (h *Hub) serveInput(ctx context.Context, v *viewer, a AttachOptions) bool {
	detached := h.feed(ctx, a.Stdin, a.DetachKeys)
	switch {
	case detached:
		v.leave(ErrDetached)
	case h.once && !h.tty:
		h.endInput()
	case !h.once:
		h.answered(ctx, v)
		v.end(nil)
	}
	return detached
}

// answered waits until there has been nothing for v for a while.
func (h *Hub) answered(ctx context.Context, v *viewer) {
	tick := time.NewTicker(answerTime)
	defer tick.Stop()
	for last := int64(-1); ; {
		now := v.received()
		if now == last {
			return
		}
		last = now
		select {
		case <-tick.C:
		case <-h.done:
			return
		case <-ctx.Done():
			return
		}
	}
}
