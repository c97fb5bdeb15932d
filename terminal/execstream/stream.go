package execstream

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"berth/terminal"
)

const (
	// pingEvery finds a peer that is gone while nothing else is sent.
	pingEvery = 5 * time.Second
	// closeTimeout bounds sending a close message, and again the wait for its answer.
	closeTimeout = time.Second
	// stdinChunks of at most 64 KiB wait for a program that does not read; then the connection is not read either.
	stdinChunks = 4
	// endOfTransmission is ctrl-d, the end of input on a terminal.
	endOfTransmission = 0x04
)

// stream is one program and the connection that it belongs to.
type stream struct {
	h      *Handler
	conn   *websocket.Conn
	p      Process
	tty    bool
	stdin  chan []byte // closed at the end of input
	out    chan []byte // whole messages
	gone   context.CancelFunc
	drain  drain
	result chan terminal.Exit
}

// stream serves a program to its end, or until the peer is gone, which kills it.
func (h *Handler) stream(ctx context.Context, conn *websocket.Conn, p Process, tty bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stream{
		h: h, conn: conn, p: p, tty: tty, gone: cancel, stdin: make(chan []byte, stdinChunks), out: make(chan []byte),
		result: make(chan terminal.Exit, 1),
	}
	kill := context.AfterFunc(ctx, func() {
		_ = p.Signal(unix.SIGKILL)
		_ = conn.Close()
	})
	var inputs sync.WaitGroup
	inputs.Go(func() { s.write(ctx) })
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(ctx)
	}()
	outputs := s.copyAll(ctx)
	exit := s.send(outputs)
	if kill() {
		finish(conn, frame(frameResult, outcome{ExitCode: &exit.Code}), read)
	}
	cancel()
	_ = conn.Close()
	_ = p.Input().Close()
	inputs.Wait()
	<-read
}

// copyAll copies the program's output until it ends. The channel is closed when all is copied and the program has ended.
func (s *stream) copyAll(ctx context.Context) <-chan struct{} {
	var copies sync.WaitGroup
	closers := []io.Closer{s.p.Output()}
	copies.Go(func() { s.copy(ctx, frameStdout, s.p.Output()) })
	if errs := s.p.Errors(); errs != nil {
		closers = append(closers, errs)
		copies.Go(func() { s.copy(ctx, frameStderr, errs) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit := s.p.Wait()
		s.drain.wait(ctx, copies.Wait, closers...)
		s.result <- exit
	}()
	return done
}

// copy makes messages of one of the outputs.
func (s *stream) copy(ctx context.Context, typ byte, r io.Reader) {
	for {
		buf := s.h.buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put in
		n, err := r.Read((*buf)[1:])
		s.drain.handing()
		if n > 0 {
			(*buf)[0] = typ
			select {
			case s.out <- (*buf)[:1+n]:
			case <-ctx.Done():
				err = ctx.Err()
			}
		} else {
			s.h.buffers.Put(buf)
		}
		s.drain.handed()
		if err != nil {
			return // EOF; EIO of a PTY; closed
		}
	}
}

// send writes messages to the peer until all is sent and the program has ended.
func (s *stream) send(outputs <-chan struct{}) terminal.Exit {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case message := <-s.out:
			if err := s.conn.WriteMessage(websocket.BinaryMessage, message); err != nil {
				s.gone()
			}
			message = message[:cap(message)]
			s.h.buffers.Put(&message)
		case <-ping.C:
			if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(pingEvery)) != nil {
				s.gone()
			}
		case <-outputs:
			return <-s.result
		}
	}
}

// write gives the program its input.
func (s *stream) write(ctx context.Context) {
	in := s.p.Input()
	for {
		select {
		case <-ctx.Done():
			return
		case chunk, more := <-s.stdin:
			if !more {
				s.endInput(in)
				return
			}
			if _, err := in.Write(chunk); err != nil {
				s.discard(ctx)
				return // the program reads no more
			}
		}
	}
}

func (s *stream) endInput(in io.WriteCloser) {
	if s.tty {
		_, _ = in.Write([]byte{endOfTransmission})
		return
	}
	_ = in.Close()
}

// discard takes input that nobody wants, so that controls behind it are heard.
func (s *stream) discard(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, more := <-s.stdin:
			if !more {
				return
			}
		}
	}
}

// finish sends the last message and closes the connection; read is closed when the peer has answered (nil: read here).
func finish(conn *websocket.Conn, last []byte, read <-chan struct{}) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(10 * closeTimeout))
	if conn.WriteMessage(websocket.BinaryMessage, last) != nil {
		return
	}
	farewell(conn, websocket.CloseNormalClosure, "")
	if read == nil {
		_ = conn.SetReadDeadline(time.Now().Add(closeTimeout))
		_, _ = io.CopyN(io.Discard, conn.NetConn(), 1<<20)
		return
	}
	select {
	case <-read:
	case <-time.After(closeTimeout):
	}
}

func farewell(conn *websocket.Conn, code int, text string) {
	_ = conn.WriteControl(websocket.CloseMessage, terminal.CloseMessage(code, text), time.Now().Add(closeTimeout))
}
