package terminal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// ClientOptions say how a Client connects. Zero fields get the defaults.
type ClientOptions struct {
	Header  http.Header
	Dialer  *websocket.Dialer // default: websocket.DefaultDialer's settings
	Size    Size              // zero: the client has none
	After   *uint64           // sequence number of the next byte wanted; nil: all that is held
	GiveUp  time.Duration     // how long a lost connection is tried again; default: for ever
	Silence time.Duration     // after which the server is taken for gone; default 60 s (it pings every 20)
}

// Event is what a Client received: exactly one of Output, Status and Lost is set.
type Event struct {
	Output []byte  // in order, none twice
	Seq    uint64  // of Output's first byte
	Status *Status //
	Lost   error   // the connection was lost and is being made again; a Hello follows

	stream int // which of the client's streams Seq belongs to
}

// Client is one viewer that comes back: over any number of connections it sees every byte once and types every byte
// once. Next, Write and the rest may be used by different goroutines; Next and Write by one each.
type Client struct {
	url     url.URL
	options ClientOptions
	ctx     context.Context //nolint:containedctx // the life of the client, over its connections
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when the goroutines have ended
	ready   chan struct{} // capacity 1: events has grown
	taken   chan struct{} // capacity 1: events has shrunk
	room    chan struct{} // capacity 1: typed has shrunk
	send    chan struct{} // capacity 1: the sender has something to do

	mu      sync.Mutex
	events  []Event
	queued  int    // bytes of output in events
	next    uint64 // sequence number of the next byte to receive
	begun   bool   // next is known
	stream  int    // counts terminals: one that was made anew begins at 0 again
	parsed  uint64 // all below was taken by Next
	acked   uint64 // and this was told to the server
	typed   []byte // input that the server has not acknowledged
	base    uint64 // offset of typed's first byte
	sent    uint64 // offset up to which this connection sent
	resize  bool   // the server does not know the size
	restart bool
}

// clientQueue is how many bytes of output wait for Next before the connection is not read any more.
const clientQueue = 1 << 20

// Dial connects to the terminal at rawURL (ws, wss, http or https). ctx is the client's life. When the server refuses,
// the error is a *RefusedError.
func Dial(ctx context.Context, rawURL string, o ClientOptions) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("dial terminal: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	q := u.Query()
	q.Set("client", rand.Text())
	u.RawQuery = q.Encode()
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: 30 * time.Second}
	if o.Dialer != nil {
		dialer = *o.Dialer
	}
	dialer.Subprotocols = []string{Subprotocol}
	o.Dialer = &dialer
	o.Silence = positive(o.Silence, time.Minute)
	ctx, cancel := context.WithCancelCause(ctx)
	c := &Client{
		url: *u, options: o, ctx: ctx, cancel: cancel, done: make(chan struct{}), ready: make(chan struct{}, 1),
		taken: make(chan struct{}, 1), room: make(chan struct{}, 1), send: make(chan struct{}, 1),
	}
	if o.After != nil {
		c.next, c.begun = *o.After, true
	}
	conn, err := c.connect()
	if err != nil {
		cancel(err)
		return nil, err
	}
	go c.run(conn)
	return c, nil
}

// Next returns what came next. Output is acknowledged when Next is called again. After Close, or when the server wants
// no more of this client, it returns an error: io.EOF after Close, *RefusedError, *websocket.CloseError, or the cause of
// the end of ctx or of Dial's context.
func (c *Client) Next(ctx context.Context) (Event, error) {
	c.mu.Lock()
	c.acknowledge()
	c.mu.Unlock()
	for {
		if e, ok := c.pop(); ok {
			return e, nil
		}
		select {
		case <-c.ready:
		case <-c.done:
			if e, ok := c.pop(); ok {
				return e, nil
			}
			return Event{}, context.Cause(c.ctx)
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// acknowledge lets the sender tell what was parsed, when that has become worth a message. The lock is held.
func (c *Client) acknowledge() {
	if c.parsed >= c.acked+maxOutput {
		poke(c.send)
	}
}

func (c *Client) pop() (Event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == 0 {
		return Event{}, false
	}
	e := c.events[0]
	c.events[0] = Event{}
	c.events = c.events[1:]
	if len(c.events) == 0 {
		c.events = nil
	}
	if e.Output != nil {
		c.queued -= len(e.Output)
		poke(c.taken)
	}
	if e.Output != nil && e.stream == c.stream {
		c.parsed = e.Seq + uint64(len(e.Output))
	}
	return e, true
}

// Write is Type with the client's own context.
func (c *Client) Write(p []byte) (int, error) {
	if err := c.Type(c.ctx, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Type types p. It returns when all of p waits to be sent or was; while InputWindow bytes are not acknowledged it waits.
func (c *Client) Type(ctx context.Context, p []byte) error {
	for {
		c.mu.Lock()
		n := min(InputWindow-len(c.typed), len(p))
		c.typed = append(c.typed, p[:n]...)
		c.mu.Unlock()
		if n > 0 {
			poke(c.send)
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

// Flush waits until all that was written is acknowledged: the program's PTY has it.
func (c *Client) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		left := len(c.typed)
		c.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

// Resize asks for a size. The error wraps ErrSize.
func (c *Client) Resize(size Size) error {
	if err := size.Validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options.Size, c.resize = size, true
	poke(c.send)
	return nil
}

// Restart asks for a new program where the last one has ended.
func (c *Client) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restart = true
	poke(c.send)
}

// Close ends the connection and waits for the client's goroutines. The terminal runs on.
func (c *Client) Close() error {
	c.cancel(io.EOF)
	<-c.done
	return nil
}

func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// RefusedError is a server's answer other than an upgrade.
type RefusedError struct {
	Status int    // HTTP status
	Detail string // what a problem document said, else the start of the body
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server answers %d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// temporary reports whether another attempt may succeed.
func temporary(err error) bool {
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests
	}
	if bye := (*websocket.CloseError)(nil); errors.As(err, &bye) {
		switch bye.Code {
		case websocket.CloseGoingAway, websocket.CloseNormalClosure, websocket.CloseAbnormalClosure, websocket.CloseServiceRestart,
			websocket.CloseTryAgainLater, websocket.CloseNoStatusReceived:
			return true
		}
		return false
	}
	return !errors.Is(err, ErrFrame)
}
