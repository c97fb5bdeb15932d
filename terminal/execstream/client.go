package execstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"berth/terminal"
)

// DialOptions say how a client connects. Zero fields get the defaults.
type DialOptions struct {
	Header http.Header
	Dialer *websocket.Dialer
}

// ExecError is the sandbox's answer that the program could not be run.
type ExecError struct {
	Code    int // exit status to show: 126 or 127 as of a shell
	Message string
}

func (e *ExecError) Error() string { return e.Message }

// Conn is a program that runs in a sandbox.
type Conn struct {
	conn    *websocket.Conn
	sending sync.Mutex // the connection's writer
}

// Dial starts the request's program by the exec endpoint at rawURL (ws, wss, http or https). Run must follow, or Close.
func Dial(ctx context.Context, rawURL string, r Request, o DialOptions) (*Conn, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("dial exec: %w", err)
	}
	if scheme, ok := strings.CutPrefix(u.Scheme, "http"); ok {
		u.Scheme = "ws" + scheme
	}
	u.RawQuery = r.Query().Encode()
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: 30 * time.Second}
	if o.Dialer != nil {
		dialer = *o.Dialer
	}
	dialer.Subprotocols = []string{Subprotocol}
	conn, answer, err := dialer.DialContext(ctx, u.String(), o.Header)
	if err != nil {
		if answer != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, terminal.Refused(answer)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Conn{conn: conn}, nil
}

// Run copies stdin to the program and its output to stdout and stderr until it has ended, and returns its exit status.
// stdin may be nil; it is closed at the end, which must interrupt a Read. When ctx ends the program is killed. Errors
// are *ExecError, of the connection or of writing.
func (c *Conn) Run(ctx context.Context, stdin io.ReadCloser, stdout, stderr io.Writer) (int, error) {
	interrupt := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer interrupt()
	var input sync.WaitGroup
	if stdin == nil {
		_ = c.send([]byte{frameStdinEnd})
	} else {
		input.Go(func() { c.copy(stdin) })
	}
	code, err := c.receive(stdout, stderr)
	_ = c.conn.Close()
	if stdin != nil {
		_ = stdin.Close()
	}
	input.Wait()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return code, err
}

// copy sends stdin and its end.
func (c *Conn) copy(stdin io.Reader) {
	buf := make([]byte, 1+maxChunk)
	for {
		n, err := stdin.Read(buf[1:])
		if n > 0 {
			buf[0] = frameStdin
			if c.send(buf[:1+n]) != nil {
				return // receive finds the reason
			}
		}
		if err != nil {
			_ = c.send([]byte{frameStdinEnd})
			return
		}
	}
}

// receive writes output until the outcome comes.
func (c *Conn) receive(stdout, stderr io.Writer) (int, error) {
	for {
		b, err := readMessage(c.conn, maxServerMessage)
		if err != nil {
			return 0, fmt.Errorf("connection lost before the program ended: %w", err)
		}
		switch b[0] {
		case frameStdout:
			_, err = stdout.Write(b[1:])
		case frameStderr:
			_, err = stderr.Write(b[1:])
		case frameResult:
			farewell(c.conn, websocket.CloseNormalClosure, "")
			return result(b[1:])
		default:
			err = fmt.Errorf("%w: unknown message type %#02x", ErrFrame, b[0])
		}
		if err != nil {
			return 0, err
		}
	}
}

// result reads the outcome. It comes from the visitor's side and becomes an exit status of ours, of which the kernel keeps
// 8 bits: 256 would be taken for success.
func result(b []byte) (int, error) {
	var o outcome
	if err := json.Unmarshal(b, &o); err != nil {
		return 0, fmt.Errorf("%w: the outcome is not JSON", ErrFrame)
	}
	code := cannotRun
	if o.ExitCode != nil {
		code = *o.ExitCode
	}
	switch {
	case code < 0 || code > 255:
		return 0, fmt.Errorf("%w: an exit status of %d", ErrFrame, code)
	case o.Error == "" && o.ExitCode != nil:
		return code, nil
	case code == 0:
		code = cannotRun
	}
	return code, &ExecError{Code: code, Message: o.Error}
}

// cannotRun is a shell's exit status for a program that cannot be run.
const cannotRun = 126

func (c *Conn) send(message []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.conn.WriteMessage(websocket.BinaryMessage, message)
}

// Resize tells the program's PTY its size. The error wraps terminal.ErrSize, or is of the connection.
func (c *Conn) Resize(size terminal.Size) error {
	if err := size.Validate(); err != nil {
		return err
	}
	return c.send(frame(frameControl, control{Type: "resize", Cols: size.Cols, Rows: size.Rows}))
}

// Signal sends the program a signal by its name, such as "INT".
func (c *Conn) Signal(name string) error {
	if _, err := ParseSignal(name); err != nil {
		return err
	}
	return c.send(frame(frameControl, control{Type: "signal", Signal: name}))
}

// Close ends the connection; a program that still runs is killed.
func (c *Conn) Close() error { return c.conn.Close() }
