// Package stdio is the standard input and output of one process, and what is kept of it: the hub that hands output to the
// log and to all who are attached, and the log itself, in the format of Docker's json-file driver.
package stdio

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ErrDetached says that a client has left by its detach keys: the process goes on.
var ErrDetached = errors.New("detached by the client's keys")

// ErrOver says that a hub was closed before its process started.
var ErrOver = errors.New("the streams have been closed")

// Stream is one of a process's outputs; the values are those of Docker's multiplexed streams.
type Stream byte

// The outputs. A process on a terminal has only Stdout.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String is the name that logs have.
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

const (
	// chunk is how much is read of an output at once, and half of what is buffered for one viewer: 64 KiB in all.
	chunk = 32 << 10
	// lastRoom is what a viewer's buffer may grow by when the process has ended: all that a pipe can hold (pipe(7): 1 MiB
	// where nobody has raised the limit), so that a viewer that stalls holds up neither the log nor the container's end.
	lastRoom = 1 << 20
	// DrainTimeout is how long after a process's end its output is waited for, where a child of it keeps that open: moby's.
	DrainTimeout = 2 * time.Second
)

// HubOptions say what a hub owns. With Stdout it starts at once; without, Start brings the streams.
type HubOptions struct {
	Stdin     io.WriteCloser // nil: the process reads nothing
	Stdout    io.ReadCloser  // or the master of the process's terminal
	Stderr    io.ReadCloser  // nil on a terminal
	Log       *LogWriter     // nil: nothing is kept; the hub closes it
	Resize    func(width, height uint) error
	OpenStdin bool // there will be a Stdin: implied by one
	StdinOnce bool // the first client whose input ends, ends the process's (not on a terminal)
	TTY       bool
	LogDir    string       // where the log of earlier runs is, for a replay before the start; "": nothing to replay
	Logger    *slog.Logger // nil: slog.Default
}

// Streams are the engine's ends of a process's pipes or terminal. See HubOptions.
type Streams struct {
	Stdin          io.WriteCloser
	Stdout, Stderr io.ReadCloser
	Log            *LogWriter
	Resize         func(width, height uint) error
}

// Hub reads a process's output and gives every byte to the log and to all viewers. A viewer that does not keep up makes
// the process wait, as with Docker; one that has gone is dropped. A hub is for one run of a process: clients attach
// before the start, or at any time, and have all output since then.
type Hub struct {
	tty, once, openStdin bool
	logger               *slog.Logger
	logDir               string
	input                chan []byte
	eof                  chan struct{} // closed when the process's input shall end
	endInput             func()        // closes it
	deaf                 chan struct{} // closed when the process takes no input any more
	exited               chan struct{} // closed when the process has ended, as Drain is told
	exit                 func()        // closes it
	done                 chan struct{} // closed when all output is in the log, and the viewers' buffers
	order                sync.Mutex    // held while output is logged and its viewers are chosen: a replay has no gap

	mu            sync.Mutex // guards what follows
	started, over bool
	ended, cut    bool // as exited; its output is no longer waited for
	streams       Streams
	viewers       []*viewer // never changed in place
	width, height uint      // 0: never said
}

// NewHub returns a hub.
func NewHub(o HubOptions) *Hub {
	h := &Hub{
		tty: o.TTY, once: o.StdinOnce, openStdin: o.OpenStdin || o.Stdin != nil, logger: o.Logger, logDir: o.LogDir,
		input: make(chan []byte), eof: make(chan struct{}), deaf: make(chan struct{}),
		exited: make(chan struct{}), done: make(chan struct{}),
	}
	h.exit = sync.OnceFunc(func() { close(h.exited) })
	h.endInput = sync.OnceFunc(func() { close(h.eof) })
	if h.logger == nil {
		h.logger = slog.Default()
	}
	if o.Stdout != nil {
		_ = h.Start(Streams{o.Stdin, o.Stdout, o.Stderr, o.Log, o.Resize}) // a new hub is not over
	}
	return h
}

// Start gives the hub the process's streams, before or after the process starts. They and the log are the hub's to close,
// also where it fails.
func (h *Hub) Start(s Streams) error {
	h.mu.Lock()
	if h.started || h.over {
		h.mu.Unlock()
		s.close()
		return ErrOver
	}
	h.started, h.streams = true, s
	if h.width > 0 && s.Resize != nil {
		if err := s.Resize(h.width, h.height); err != nil {
			h.logger.Warn("resize at the start", "error", err)
		}
	}
	h.mu.Unlock()
	go h.run(s)
	return nil
}

// run owns the streams until their end.
func (h *Hub) run(s Streams) {
	quit := make(chan struct{})
	var outputs, in sync.WaitGroup
	in.Go(func() { h.write(s.Stdin, quit) })
	outputs.Go(func() { h.copy(Stdout, s.Stdout) })
	if s.Stderr != nil {
		outputs.Go(func() { h.copy(Stderr, s.Stderr) })
	}
	outputs.Wait()
	<-h.exited // a process may close its output, and read on
	close(quit)
	s.close() // a write of input that waits ends too
	in.Wait()
	h.finish()
}

// finish tells all viewers that there is no more.
func (h *Hub) finish() {
	h.mu.Lock()
	h.over = true
	viewers := h.viewers
	h.mu.Unlock()
	for _, v := range viewers {
		v.end(nil)
	}
	close(h.done)
}

func (s Streams) close() {
	if s.Stdin != nil {
		_ = s.Stdin.Close() // pipes: nothing is buffered
	}
	for _, c := range []io.Closer{s.Stdout, s.Stderr} {
		if c != nil {
			_ = c.Close()
		}
	}
	if s.Log != nil {
		s.Log.Close()
	}
}

// copy reads one output to its end: end of file, EIO of a terminal, or that it was closed.
func (h *Hub) copy(s Stream, from io.Reader) {
	if from == nil {
		return
	}
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			h.deliver(s, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// deliver logs first: the log has all, whatever the viewers do.
func (h *Hub) deliver(s Stream, p []byte) {
	h.order.Lock()
	if h.streams.Log != nil { // streams stay as they are after the start
		h.streams.Log.Write(s, p)
	}
	h.mu.Lock()
	viewers := h.viewers
	h.mu.Unlock()
	h.order.Unlock()
	for _, v := range viewers {
		v.put(s, p)
	}
}

// Done is closed when the process and its output have ended and all is in the log; viewers may still be at it.
func (h *Hub) Done() <-chan struct{} { return h.done }

// Drain must be called when the process has ended: no attach ends well before, so that whoever sees the end of the output
// finds the exit code, where that was noted first. It returns when the output has ended too: at once, or where a child of
// the process keeps it open after DrainTimeout, or when ctx ends; the output is closed then.
func (h *Hub) Drain(ctx context.Context) {
	h.exit()
	h.mu.Lock()
	h.ended = true
	started, viewers := h.started, h.viewers
	h.mu.Unlock()
	if !started {
		h.Close()
		return
	}
	for _, v := range viewers {
		v.grow(chunk + lastRoom)
	}
	timer := time.NewTimer(DrainTimeout)
	defer timer.Stop()
	select {
	case <-h.done:
	case <-timer.C:
		h.Close()
	case <-ctx.Done():
		h.Close()
	}
}

// Close ends a hub whatever its process does, or one whose process was never started. Viewers get what was read.
func (h *Hub) Close() {
	h.exit()
	h.mu.Lock()
	first := !h.cut
	h.cut = true
	started, s, viewers := h.started, h.streams, h.viewers
	if !started {
		h.started = true // Start is refused from now on
	}
	h.mu.Unlock()
	switch {
	case !first:
	case !started:
		close(h.deaf)
		h.finish()
	default:
		for _, v := range viewers {
			v.grow(unlimited)
		}
		Streams{Stdout: s.Stdout, Stderr: s.Stderr}.close()
	}
	<-h.done
}

// Resize sets the size of the process's terminal; before the start it is kept for then.
func (h *Hub) Resize(width, height uint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.width, h.height = width, height
	if !h.started || h.over || h.streams.Resize == nil {
		return nil
	}
	return h.streams.Resize(width, height)
}

func (h *Hub) add(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over:
		v.end(nil)
		return
	case h.cut:
		v.grow(unlimited)
	case h.ended:
		v.grow(chunk + lastRoom)
	}
	h.viewers = append(slices.Clip(h.viewers), v)
}

func (h *Hub) remove(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.viewers = slices.DeleteFunc(slices.Clone(h.viewers), func(other *viewer) bool { return other == v })
}
