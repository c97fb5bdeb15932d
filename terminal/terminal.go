package terminal

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Errors of a Terminal and a Set.
var (
	ErrClosed         = errors.New("the terminal was closed")
	ErrTooManyViewers = errors.New("too many viewers of this terminal: close one first")
)

// state is a run's place in its life: starting → running → exited. Only a restart begins a new run; closed is the end.
type state int

const (
	starting state = iota
	running
	exited
	closed
)

// Terminal is one PTY and its viewers.
type Terminal struct {
	name    string
	start   Start
	options Options
	cancel  context.CancelFunc

	settled  chan struct{} // closed when the first start has succeeded or failed
	startErr error         // of the first start; read after settled

	readable chan struct{}  // capacity 1: somebody may want output now
	again    chan struct{}  // capacity 1: restart
	work     sync.WaitGroup // goroutines beside the owner, which waits for them
	done     chan struct{}  // closed when all goroutines of the terminal have ended

	mu       sync.Mutex
	state    state
	size     Size
	started  Size // what the PTY has
	pty      *os.File
	exit     Exit
	ring     *Ring
	title    titleScanner
	viewers  map[*viewer]struct{}
	typists  typists
	input    inputQueue
	writer   chan struct{} // not nil while a goroutine writes input; closed at its end
	goodbye  websocket.CloseError
	goodbyes sync.WaitGroup // viewers that have not gone yet
}

// open makes a terminal and starts its program. ctx is the terminal's life; gone is called when nothing is left of it.
func open(ctx context.Context, name string, size Size, start Start, o Options, gone func(*Terminal)) *Terminal {
	ctx, cancel := context.WithCancel(ctx)
	t := &Terminal{
		name: name, start: start, options: o, cancel: cancel, size: size,
		settled: make(chan struct{}), readable: make(chan struct{}, 1), again: make(chan struct{}, 1), done: make(chan struct{}),
		ring: NewRing(o.RingBytes), viewers: make(map[*viewer]struct{}),
		goodbye: websocket.CloseError{Code: websocket.CloseGoingAway, Text: "the terminal is ending"},
	}
	go func() {
		defer close(t.done)
		defer gone(t)
		defer cancel()
		t.supervise(ctx)
		t.shut()
		t.work.Wait()
		t.goodbyes.Wait()
	}()
	return t
}

// Info is a terminal as it is now.
type Info struct {
	Name     string `json:"name"`
	Title    string `json:"title"` // that the program set, else empty
	Running  bool   `json:"running"`
	ExitCode int    `json:"exit_code"` // of the last program, while none is running
	Cols     int    `json:"cols"`
	Rows     int    `json:"rows"`
	Viewers  int    `json:"viewers"`
}

// Info describes the terminal.
func (t *Terminal) Info() Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Info{
		Name: t.name, Title: t.title.title, Running: t.state == starting || t.state == running, ExitCode: t.exit.Code,
		Cols: t.size.Cols, Rows: t.size.Rows, Viewers: len(t.viewers),
	}
}

// Resize gives the terminal a size. The error wraps ErrSize for a size that cannot be.
func (t *Terminal) Resize(size Size) error {
	if err := size.Validate(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resize(size, nil)
}

// resize applies a size and tells the viewers, but for the one that asked. The lock is held.
func (t *Terminal) resize(size Size, by *viewer) error {
	if size == t.size {
		return nil
	}
	t.size = size
	for v := range t.viewers {
		if v != by {
			v.resized = true
			v.notify()
		}
	}
	return t.applySize()
}

// applySize makes the PTY as large as the terminal. The lock is held.
func (t *Terminal) applySize() error {
	if t.state != running || t.started == t.size {
		return nil // a program that starts later is given the size then
	}
	t.started = t.size
	return SetSize(t.pty, t.size)
}

// restart starts the program anew; where one is running it does nothing. The lock is held.
func (t *Terminal) restart() {
	if t.state == exited {
		t.state = starting
		t.again <- struct{}{} // has room: the last one was taken before the state became exited
	}
}

// allowRead lets the PTY be read again, if it waits for that.
func (t *Terminal) allowRead() {
	select {
	case t.readable <- struct{}{}:
	default:
	}
}

// close ends the program and makes the viewers go with this reason. ctx bounds the wait.
func (t *Terminal) close(ctx context.Context, goodbye websocket.CloseError) error {
	t.mu.Lock()
	t.goodbye = goodbye
	t.mu.Unlock()
	t.cancel()
	return t.wait(ctx)
}

// wait returns when nothing is left of the terminal.
func (t *Terminal) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shut is the last thing that happens to a terminal's state.
func (t *Terminal) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = closed
	for v := range t.viewers {
		v.kick(t.goodbye.Code, t.goodbye.Text)
	}
}

// now is the clock of coalescing; a monotonic one, so that a jump of the wall clock delays nothing.
func now() time.Time { return time.Now() }
