package terminal

import (
	"errors"
	"io"

	"github.com/gorilla/websocket"
)

// read applies what the client sends until the connection is lost (any error) or must be closed (a protocolError).
func (v *viewer) read(conn *websocket.Conn) error {
	alive := func() { _ = conn.SetReadDeadline(now().Add(3 * v.t.options.PingEvery)) }
	alive()
	conn.SetPongHandler(func(string) error { alive(); return nil })
	for {
		message, err := readMessage(conn, MaxClientMessage)
		if err != nil {
			return err
		}
		alive()
		frame, err := DecodeClient(message)
		if err != nil {
			return refuse(websocket.CloseProtocolError, "%v", err)
		}
		if err := v.apply(frame); err != nil {
			return err
		}
	}
}

// readMessage reads one binary message of at most limit bytes. It never holds more than that.
func readMessage(conn *websocket.Conn, limit int64) ([]byte, error) {
	typ, r, err := conn.NextReader()
	if err != nil {
		return nil, err
	}
	if typ != websocket.BinaryMessage {
		return nil, refuse(websocket.CloseUnsupportedData, "messages must be binary")
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, refuse(websocket.CloseMessageTooBig, "a message has at most %d bytes", limit)
	}
	return b, nil
}

// apply does what one frame says.
func (v *viewer) apply(f ClientFrame) error {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	switch {
	case f.Ack:
		return v.ack(f.Seq)
	case f.Control != nil:
		v.control(*f.Control)
		return nil
	default:
		return v.typed(f.Seq, f.Data)
	}
}

func (v *viewer) ack(seq uint64) error {
	if seq > v.pos {
		return refuse(websocket.CloseProtocolError, "%d was acknowledged, but only %d was sent", seq, v.pos)
	}
	if seq > v.acked {
		v.acked = seq
		v.t.allowRead()
		v.notify()
	}
	return nil
}

func (v *viewer) control(c Control) {
	if c.Type == "restart" {
		v.t.restart()
		return
	}
	size := Size{Cols: c.Cols, Rows: c.Rows}
	err := size.Validate()
	if err == nil {
		v.size = size
		err = v.t.resize(size, v)
	}
	if err != nil {
		v.tell(Status{Type: Failed, Message: err.Error()})
	}
}

// typed takes input. The terminal gets the size of the viewer that typed last: it is the one that is looked at.
func (v *viewer) typed(offset uint64, data []byte) error {
	if err := v.t.input.offer(v.typist, offset, data); err != nil {
		if bye := new(websocket.CloseError); errors.As(err, &bye) {
			return protocolError{bye}
		}
		return err
	}
	if v.size != (Size{}) && v.size != v.t.size {
		if err := v.t.resize(v.size, nil); err != nil {
			v.t.options.Logger.Warn("resize terminal", "terminal", v.t.name, "error", err)
		}
	}
	v.pace = pace{} // the answer is waited for
	v.wakeAt = 0
	v.t.feed()
	v.notify() // a repetition is acknowledged again
	return nil
}
