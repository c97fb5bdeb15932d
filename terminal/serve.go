package terminal

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Close codes of berth.terminal.v1, beside those of RFC 6455.
const (
	CloseReplaced = 4001 // the same client has connected again
	CloseDeleted  = 4004 // the terminal was deleted
)

const (
	closeTimeout = time.Second // to send a close message, and again to get the answer
	// What is read and thrown away at most, so that a peer in the middle of a message that is too long gets to read why it must go.
	lingerBytes = 64 << 20
	lingerTime  = 3 * time.Second
)

// transport is what all websocket connections of a Set share: an idle one holds 1 KiB to read and nothing to write.
type transport struct {
	upgrader websocket.Upgrader
	frames   sync.Pool // *[]byte with room for one output frame
}

func newTransport() *transport {
	return &transport{
		upgrader: websocket.Upgrader{
			HandshakeTimeout: 10 * time.Second,
			ReadBufferSize:   1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
			Subprotocols: []string{Subprotocol},
			CheckOrigin:  func(*http.Request) bool { return true }, // the server in front checks it
		},
		frames: sync.Pool{New: func() any { b := make([]byte, 0, headerBytes+maxOutput); return &b }},
	}
}

// serve follows the terminal over a connection until either side has enough of it, then closes the connection.
func (x *transport) serve(conn *websocket.Conn, v *viewer) {
	defer v.t.detach(v)
	reading, writing := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(writing)
		bye, err := x.write(conn, v, reading)
		if bye != nil {
			farewell(conn, bye)
			select {
			case <-reading: // the peer's answer
			case <-time.After(closeTimeout):
			}
		}
		if bye != nil || err != nil && !errors.Is(err, websocket.ErrCloseSent) {
			_ = conn.Close() // else the reader has a reason to tell, and closes
		}
	}()
	err := v.read(conn)
	close(reading)
	if bye := (protocolError{}); errors.As(err, &bye) {
		farewell(conn, bye.CloseError)
		linger(conn)
	}
	_ = conn.Close()
	<-writing
}

// protocolError is a close reason that this side found.
type protocolError struct{ *websocket.CloseError }

func refuse(code int, format string, args ...any) error {
	return protocolError{&websocket.CloseError{Code: code, Text: fmt.Sprintf(format, args...)}}
}

// write sends what there is to send until stop. It returns a reason to close, or why the connection is lost.
func (x *transport) write(conn *websocket.Conn, v *viewer, stop <-chan struct{}) (*websocket.CloseError, error) {
	every := v.t.options.PingEvery
	ping := time.NewTicker(every)
	defer ping.Stop()
	for {
		wait, bye, err := x.flush(conn, v)
		if bye != nil || err != nil {
			return bye, err
		}
		var timeout <-chan time.Time
		if wait > 0 {
			timeout = time.After(wait)
		}
		select {
		case <-v.wake:
		case <-timeout:
		case <-stop:
			return nil, nil
		case <-ping.C:
			if err := conn.WriteControl(websocket.PingMessage, nil, now().Add(every)); err != nil {
				return nil, err
			}
		}
	}
}

// flush sends frames until there is none to send now.
func (x *transport) flush(conn *websocket.Conn, v *viewer) (time.Duration, *websocket.CloseError, error) {
	buf := x.frames.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put in
	defer x.frames.Put(buf)
	for {
		s := v.next(now(), *buf)
		if s.close != nil || s.frame == nil {
			return s.wait, s.close, nil
		}
		_ = conn.SetWriteDeadline(now().Add(3 * v.t.options.PingEvery))
		if err := conn.WriteMessage(websocket.BinaryMessage, s.frame); err != nil {
			return 0, nil, err
		}
	}
}

// farewell sends a close message.
func farewell(conn *websocket.Conn, bye *websocket.CloseError) {
	_ = conn.WriteControl(websocket.CloseMessage, CloseMessage(bye.Code, bye.Text), now().Add(closeTimeout))
}

// CloseMessage is the body of a close message, its text cut to what fits: 125 bytes with the code, and UTF-8, or the peer
// sees an error of ours instead (RFC 6455, 5.5).
func CloseMessage(code int, text string) []byte {
	for len(text) > 123 || !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return websocket.FormatCloseMessage(code, text)
}

// linger reads on for a moment: closing a socket that has unread bytes resets it, and the peer would not see why.
func linger(conn *websocket.Conn) {
	_ = conn.SetReadDeadline(now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, conn.NetConn(), lingerBytes)
}
