package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
)

// StreamProtocol is the websocket subprotocol by which the answer to a GET comes over a websocket: pages use it for what stays open,
// because a browser has six HTTP/1.1 connections for a server, and three tabs would use them up. First comes a text message, the
// head: {"status":200,"type":"text/event-stream"}. Then come binary messages, the body. Close code 1000: it is whole; others: it
// broke off. The client says in text messages how many bytes of the body it has read, in decimal; with streamWindow bytes unread the
// server waits.
const StreamProtocol = "berth.stream.v1"

const (
	streamWindow = 1 << 20 // bytes
	streamChunk  = 32 << 10
	streamWord   = 32 // bytes of a client's message
	streamWrite  = 10 * time.Second
	streamSilent = 4 * heartbeat // a client that answers no ping for so long has gone
	streamClose  = time.Second   // how long the client's own close is waited for
)

// streamed gives an answer over a websocket where the request asks for that.
func (h *Handlers) streamed(next echo.HandlerFunc) echo.HandlerFunc {
	upgrader := websocket.Upgrader{
		Subprotocols: []string{StreamProtocol}, WriteBufferSize: streamChunk, WriteBufferPool: &sync.Pool{}, ReadBufferSize: 1 << 10,
		CheckOrigin: func(*http.Request) bool { return true }, // the middleware has
	}
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method != http.MethodGet || !slices.Contains(websocket.Subprotocols(r), StreamProtocol) || !websocket.IsWebSocketUpgrade(r) {
			return next(c)
		}
		conn, err := upgrader.Upgrade(c.Response(), r, nil)
		if err != nil {
			return nil // the upgrader has answered
		}
		ctx, cancel := context.WithCancel(r.Context())
		w := &streamWriter{conn: conn, ctx: ctx, header: http.Header{}, room: streamWindow, more: make(chan struct{}, 1)}
		read := make(chan struct{})
		go func() {
			defer close(read)
			defer cancel()
			w.listen()
		}()
		go w.ping()
		whole := false
		defer func() {
			w.end(whole, read)
			cancel()
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
		}()
		c.SetRequest(asPlainGet(r, ctx))
		c.SetResponse(echo.NewResponse(w, c.Echo()))
		if err := next(c); err != nil {
			h.Error(err, c)
		}
		whole = true
		return nil
	}
}

// asPlainGet is the request without what made it one for a websocket.
func asPlainGet(r *http.Request, ctx context.Context) *http.Request { //nolint:revive // the request's own context is the parent
	r = r.Clone(ctx)
	r.Body, r.ContentLength = http.NoBody, 0
	for name := range r.Header {
		if name == "Connection" || name == "Upgrade" || name == "Accept-Encoding" || strings.HasPrefix(name, "Sec-Websocket-") {
			r.Header.Del(name)
		}
	}
	return r
}

// streamWriter is a response over a websocket.
type streamWriter struct {
	conn   *websocket.Conn
	ctx    context.Context //nolint:containedctx // of this one answer
	header http.Header
	begun  bool

	deadline time.Time // of the handler
	mu       sync.Mutex
	room     int           // bytes that may be sent before the client has said that it read some
	more     chan struct{} // there may be room
}

func (w *streamWriter) Header() http.Header { return w.header }

// Flush does nothing: what was written is sent.
func (w *streamWriter) Flush() {}

// SetWriteDeadline is for http.ResponseController.
func (w *streamWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *streamWriter) WriteHeader(status int) {
	if w.begun || status < http.StatusOK {
		return
	}
	w.begun = true
	head, err := json.Marshal(struct {
		Status int    `json:"status"`
		Type   string `json:"type,omitempty"`
	}{status, w.header.Get("Content-Type")})
	if err == nil {
		_ = w.send(websocket.TextMessage, head) // the body's first write tells
	}
}

func (w *streamWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	sent := 0
	for sent < len(b) {
		n, err := w.take(min(len(b)-sent, streamChunk))
		if err == nil {
			err = w.send(websocket.BinaryMessage, b[sent:sent+n])
		}
		if err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

func (w *streamWriter) send(kind int, b []byte) error {
	_ = w.conn.SetWriteDeadline(time.Now().Add(streamWrite)) // never fails
	return w.conn.WriteMessage(kind, b)
}

// take waits for room, and takes up to n bytes of it.
func (w *streamWriter) take(n int) (int, error) {
	var late <-chan time.Time
	if !w.deadline.IsZero() {
		t := time.NewTimer(time.Until(w.deadline))
		defer t.Stop()
		late = t.C
	}
	for {
		w.mu.Lock()
		n := min(n, w.room)
		w.room -= n
		w.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-w.more:
		case <-late:
			return 0, os.ErrDeadlineExceeded
		case <-w.ctx.Done():
			return 0, context.Cause(w.ctx)
		}
	}
}

var errNotRead = errors.New("a client said that it read what was not sent")

// read adds the room that a client's word makes.
func (w *streamWriter) read(word []byte) error {
	n, err := strconv.Atoi(string(word))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n < 0 || n > streamWindow-w.room {
		return errNotRead
	}
	w.room += n
	select {
	case w.more <- struct{}{}:
	default:
	}
	return nil
}

// listen takes the client's messages until it goes, is silent for too long, or says what makes no sense.
func (w *streamWriter) listen() {
	w.conn.SetReadLimit(streamWord)
	alive := func(string) error { return w.conn.SetReadDeadline(time.Now().Add(streamSilent)) }
	w.conn.SetPongHandler(alive)
	for alive("") == nil {
		_, word, err := w.conn.ReadMessage()
		if err != nil || w.read(word) != nil {
			return
		}
	}
}

func (w *streamWriter) ping() {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if w.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(streamWrite)) != nil {
				return
			}
		case <-w.ctx.Done():
			return
		}
	}
}

// end says whether the answer is whole, and lets the client close first: what it has not received yet would be lost.
func (w *streamWriter) end(whole bool, read <-chan struct{}) {
	code := websocket.CloseNormalClosure
	if !whole {
		code = websocket.CloseInternalServerErr
	}
	if whole && !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(streamClose)) == nil {
		select {
		case <-read:
		case <-time.After(streamClose):
		}
	}
	_ = w.conn.Close() // whoever was there has been told
}
