package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Pauses between attempts to connect again: doubled from the first to the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// run owns the client's connections, one after the other.
func (c *Client) run(conn *websocket.Conn) {
	defer close(c.done)
	for {
		err := c.use(conn)
		if c.ctx.Err() != nil {
			return
		}
		if !temporary(err) {
			c.cancel(err)
			return
		}
		c.push(Event{Lost: err})
		if conn, err = c.reconnect(); err != nil {
			c.cancel(err)
			return
		}
	}
}

// connect makes one connection that goes on where the last one ended.
func (c *Client) connect() (*websocket.Conn, error) {
	u := c.url
	q := u.Query()
	c.mu.Lock()
	if size := c.options.Size; size != (Size{}) {
		q.Set("cols", strconv.Itoa(size.Cols))
		q.Set("rows", strconv.Itoa(size.Rows))
	}
	if c.begun {
		q.Set("after", strconv.FormatUint(c.next, 10))
	}
	c.resize = false
	c.mu.Unlock()
	u.RawQuery = q.Encode()
	conn, answer, err := c.options.Dialer.DialContext(c.ctx, u.String(), c.options.Header)
	if err != nil {
		if answer != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, Refused(answer)
		}
		return nil, fmt.Errorf("connect to terminal: %w", err)
	}
	return conn, nil
}

// Refused makes an error of a server's answer other than an upgrade: a *RefusedError. gorilla keeps the first KiB of the body, which needs no closing.
func Refused(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	var document struct{ Title, Detail string }
	detail := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &document) == nil && document.Title+document.Detail != "" {
		if detail = document.Detail; detail == "" {
			detail = document.Title
		}
	}
	return &RefusedError{Status: answer.StatusCode, Detail: detail}
}

// reconnect tries until a connection is made, the server refuses for good, or it is time to give up.
func (c *Client) reconnect() (*websocket.Conn, error) {
	deadline := now().Add(c.options.GiveUp)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		jitter := pause/2 + rand.N(pause/2) //nolint:gosec // spreads load, guards nothing
		select {
		case <-time.After(jitter):
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
		conn, err := c.connect()
		if err == nil {
			return conn, nil
		}
		if !temporary(err) {
			return nil, err
		}
		if c.options.GiveUp > 0 && now().After(deadline) {
			return nil, fmt.Errorf("gave up after %s: %w", c.options.GiveUp, err)
		}
	}
}

// use serves one connection to its end and closes it.
func (c *Client) use(conn *websocket.Conn) error {
	stop := make(chan struct{})
	sending := make(chan struct{})
	interrupt := context.AfterFunc(c.ctx, func() {
		farewell(conn, &websocket.CloseError{Code: websocket.CloseNormalClosure})
		_ = conn.Close()
	})
	err := c.receiveHello(conn)
	if err == nil {
		go func() {
			defer close(sending)
			c.transmit(conn, stop)
		}()
		err = c.receive(conn)
	} else {
		close(sending)
	}
	close(stop)
	interrupt()
	_ = conn.Close()
	<-sending
	return err
}

// receiveHello waits for the first status and takes from it where this connection begins.
func (c *Client) receiveHello(conn *websocket.Conn) error {
	alive := func() { _ = conn.SetReadDeadline(now().Add(c.options.Silence)) }
	alive()
	conn.SetPingHandler(func(text string) error {
		alive()
		err := conn.WriteControl(websocket.PongMessage, []byte(text), now().Add(c.options.Silence))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	frame, err := receiveFrame(conn)
	if err != nil {
		return err
	}
	if frame.Status == nil || frame.Status.Type != Hello {
		if frame.Status != nil {
			c.push(Event{Status: frame.Status})
			_, err := receiveFrame(conn) // why it is sorry
			return err
		}
		return fmt.Errorf("%w: the first message is not hello", ErrFrame)
	}
	return c.greeted(frame.Status)
}

func (c *Client) greeted(hello *Status) error {
	c.mu.Lock()
	if !c.begun || c.next > hello.Next { // the first time, or another terminal than before
		c.next, c.parsed, c.begun = hello.From, hello.From, true
		c.stream++
	}
	c.acked = hello.From
	if hello.Input > c.base+uint64(len(c.typed)) {
		c.mu.Unlock()
		return fmt.Errorf("%w: input %d was never sent", ErrFrame, hello.Input)
	}
	c.applied(hello.Input)
	c.sent = c.base
	c.mu.Unlock()
	c.push(Event{Status: hello})
	return nil
}

// applied forgets input that the server has. The lock is held.
func (c *Client) applied(offset uint64) {
	if offset <= c.base {
		return
	}
	c.typed = c.typed[offset-c.base:]
	c.base = offset
	c.sent = max(c.sent, c.base)
	poke(c.room)
}

func receiveFrame(conn *websocket.Conn) (ServerFrame, error) {
	message, err := readMessage(conn, maxServerMessage)
	if err != nil {
		return ServerFrame{}, err
	}
	return DecodeServer(message)
}

// receive takes what the server sends until the connection ends.
func (c *Client) receive(conn *websocket.Conn) error {
	for {
		frame, err := receiveFrame(conn)
		if err != nil {
			return err
		}
		_ = conn.SetReadDeadline(now().Add(c.options.Silence))
		switch {
		case frame.Ack:
			c.mu.Lock()
			if frame.Seq > c.sent {
				c.mu.Unlock()
				return fmt.Errorf("%w: input %d was never sent", ErrFrame, frame.Seq)
			}
			c.applied(frame.Seq)
			c.mu.Unlock()
		case frame.Status != nil:
			if frame.Status.Type == Gap {
				c.mu.Lock()
				c.next = frame.Status.To
				c.mu.Unlock()
			}
			c.push(Event{Status: frame.Status})
		default:
			if err := c.output(frame); err != nil {
				return err
			}
		}
	}
}

// output queues output. It waits while Next is far behind.
func (c *Client) output(frame ServerFrame) error {
	c.mu.Lock()
	if frame.Seq != c.next {
		c.mu.Unlock()
		return fmt.Errorf("%w: output %d came where %d was due", ErrFrame, frame.Seq, c.next)
	}
	c.next += uint64(len(frame.Data))
	c.mu.Unlock()
	c.push(Event{Output: frame.Data, Seq: frame.Seq})
	for {
		c.mu.Lock()
		full := c.queued > clientQueue
		c.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-c.taken:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

func (c *Client) push(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.stream = c.stream
	c.events = append(c.events, e)
	c.queued += len(e.Output)
	poke(c.ready)
}

// transmit sends what there is to send until stop, or until it cannot: the reader finds the reason.
func (c *Client) transmit(conn *websocket.Conn, stop <-chan struct{}) {
	for {
		for frame := c.outgoing(); frame != nil; frame = c.outgoing() {
			_ = conn.SetWriteDeadline(now().Add(c.options.Silence))
			if err := conn.WriteMessage(websocket.BinaryMessage, frame); err != nil {
				_ = conn.Close()
				return
			}
		}
		select {
		case <-c.send:
		case <-stop:
			return
		}
	}
}

// outgoing returns the next message to send, or nil.
func (c *Client) outgoing() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch end := c.base + uint64(len(c.typed)); {
	case c.resize:
		c.resize = false
		return appendJSON(nil, Control{Type: "resize", Cols: c.options.Size.Cols, Rows: c.options.Size.Rows})
	case c.restart:
		c.restart = false
		return appendJSON(nil, Control{Type: "restart"})
	case c.sent < end:
		part := c.typed[c.sent-c.base:]
		part = part[:min(len(part), maxInputFrame)]
		frame := append(appendHeader(make([]byte, 0, headerBytes+len(part)), frameData, c.sent), part...)
		c.sent += uint64(len(part))
		return frame
	case c.parsed >= c.acked+maxOutput:
		c.acked = c.parsed
		return appendHeader(nil, frameAck, c.parsed)
	}
	return nil
}
