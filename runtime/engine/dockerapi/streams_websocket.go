package dockerapi

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"berth/runtime/engine/stdio"
)

// attachWebsocket is attach in the messages of a websocket: binary ones, never multiplexed.
func (s Streams[C]) attachWebsocket(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Manager.Get(Var(r, "name"))
	if err != nil {
		return err
	}
	keys, err := stdio.ParseDetachKeys(r.FormValue("detachKeys"))
	if err != nil {
		return err
	}
	if !websocket.IsWebSocketUpgrade(r) {
		return Invalid("not a websocket handshake")
	}
	all := less(VersionOf(r), multiplexedSince) // streams could not be chosen
	o := stdio.AttachOptions{DetachKeys: keys, Replay: Flag(r, "logs"), NoStream: !Flag(r, "stream")}
	conn := newSocket()
	if all || Flag(r, "stdin") {
		o.Stdin, o.StdinDone = conn, conn.endInput
	} else {
		conn.endInput()
	}
	if all || Flag(r, "stdout") {
		o.Stdout = conn
	}
	if all || Flag(r, "stderr") {
		o.Stderr = conn
	}
	o.Ready, o.Gone, o.Interrupt = func() { conn.open(w, r) }, conn.gone, conn.interrupt
	defer conn.Close()
	err = c.Attach(r.Context(), o)
	if conn.ws != nil || conn.err != nil {
		return nil // the client has left, or was told already
	}
	return err
}

// socket is a websocket as two streams. It is read always: that is how its end, and pings, are noticed.
type socket struct {
	ws        *websocket.Conn
	err       error // of the handshake, which has answered
	messages  chan []byte
	rest      []byte        // of a message
	gone      chan struct{} // closed when the client has closed it
	unread    chan struct{} // closed by endInput: messages are thrown away
	endInput  func()
	over      chan struct{} // closed by interrupt
	interrupt func()
	reading   sync.WaitGroup
}

func newSocket() *socket {
	s := &socket{messages: make(chan []byte), gone: make(chan struct{}), unread: make(chan struct{}), over: make(chan struct{})}
	s.endInput = sync.OnceFunc(func() { close(s.unread) })
	s.interrupt = sync.OnceFunc(s.stop)
	return s
}

func (s *socket) open(w http.ResponseWriter, r *http.Request) {
	// Whoever reaches the API is root of it: a page's origin says nothing.
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	if s.ws, s.err = upgrader.Upgrade(w, r, nil); s.err != nil {
		s.ws = nil
		close(s.gone)
		return
	}
	s.reading.Go(s.read)
}

func (s *socket) read() {
	defer close(s.gone)
	for {
		_, p, err := s.ws.ReadMessage()
		if err != nil {
			return
		}
		select {
		case s.messages <- p:
		case <-s.unread:
		case <-s.over:
			return
		}
	}
}

// Read reads the client's input.
func (s *socket) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		select {
		case s.rest = <-s.messages:
		case <-s.gone:
			return 0, io.EOF
		case <-s.over:
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Write sends a message.
func (s *socket) Write(p []byte) (int, error) {
	if s.ws == nil {
		return 0, s.err
	}
	if err := s.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// stop ends reads and writes that wait.
func (s *socket) stop() {
	close(s.over)
	if s.ws != nil {
		_ = s.ws.NetConn().SetDeadline(time.Unix(1, 0)) // closed already
	}
}

// Close says goodbye.
func (s *socket) Close() {
	if s.ws == nil {
		return
	}
	s.interrupt()
	s.reading.Wait()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if s.ws.NetConn().SetDeadline(time.Now().Add(lingerTimeout)) == nil {
		_ = s.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(lingerTimeout))
	}
	_ = s.ws.Close()
}
