package execstream

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gorilla/websocket"

	"berth/terminal"
)

// read does what the peer asks until the connection ends, which kills the program.
func (s *stream) read(ctx context.Context) {
	defer s.gone()
	open := true
	defer func() {
		if open {
			close(s.stdin)
		}
	}()
	for {
		b, err := readMessage(s.conn, maxClientMessage)
		if err == nil && open && b[0] == frameStdinEnd {
			open = false
			close(s.stdin)
			continue
		}
		if err == nil {
			err = s.apply(ctx, b, open)
		}
		if bad := errors.Is(err, ErrFrame) || errors.Is(err, terminal.ErrSize); bad {
			farewell(s.conn, websocket.CloseProtocolError, err.Error())
		}
		if err != nil {
			return
		}
	}
}

// apply does what one message says.
func (s *stream) apply(ctx context.Context, b []byte, open bool) error {
	switch b[0] {
	case frameStdin, frameStdinEnd:
		if !open {
			return fmt.Errorf("%w: input after its end", ErrFrame)
		}
		select {
		case s.stdin <- b[1:]:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case frameControl:
		size, sig, err := decodeControl(b[1:])
		switch {
		case err != nil:
			return err
		case sig != 0:
			err = s.p.Signal(sig)
		default:
			err = s.p.Resize(size)
		}
		if err != nil {
			s.h.log.Warn("exec control", "error", err)
		}
		return nil
	}
	return fmt.Errorf("%w: unknown message type %#02x", ErrFrame, b[0])
}

// readMessage reads one binary message of 1 to limit bytes.
func readMessage(conn *websocket.Conn, limit int64) ([]byte, error) {
	typ, r, err := conn.NextReader()
	if err != nil {
		return nil, err
	}
	if typ != websocket.BinaryMessage {
		return nil, fmt.Errorf("%w: a text message", ErrFrame)
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, fmt.Errorf("%w: empty message", ErrFrame)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%w: a message has at most %d bytes", ErrFrame, limit)
	}
	return b, nil
}
