package dockerapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lingerTimeout bounds the wait for a client to close its end: closing ours while something of it is unread would cut off
// what it has still to read (ECONNRESET).
const lingerTimeout = 2 * time.Second

// hijacked is a client's connection as two streams. It is the HTTP server's until open is called.
type hijacked struct {
	conn       net.Conn
	early      []byte        // what the server has read ahead
	err        error         // why it is not open
	inputEnded chan struct{} // closed when nobody reads it any more
	endInput   func()
	gone       chan struct{} // closed when the client has closed both directions
	watching   sync.WaitGroup
}

func newHijacked(reads bool) *hijacked {
	h := &hijacked{err: net.ErrClosed, inputEnded: make(chan struct{}), gone: make(chan struct{})}
	h.endInput = sync.OnceFunc(func() { close(h.inputEnded) })
	if !reads {
		h.endInput()
	}
	return h
}

// open takes the connection over, and answers: 101 to a client that asks for an upgrade, as those do that go through
// proxies, else 200.
func (h *hijacked) open(w http.ResponseWriter, r *http.Request, contentType string) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	status := "200 OK"
	if r.Header.Get("Upgrade") != "" {
		status = "101 UPGRADED"
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "tcp")
	} else {
		header.Set("Content-Type", rawStream) // as Docker
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		h.err = err
		return
	}
	h.conn = conn
	// Its buffer is not read through: net/http cancels the request's context at the end of the input.
	if h.early, err = io.ReadAll(io.LimitReader(buf.Reader, int64(buf.Reader.Buffered()))); err != nil {
		h.err = err
		return
	}
	if h.err = conn.SetDeadline(time.Time{}); h.err != nil {
		return
	}
	if _, h.err = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n", status); h.err == nil {
		h.err = header.Write(conn)
	}
	if h.err == nil {
		_, h.err = io.WriteString(conn, "\r\n")
	}
	h.watching.Go(h.watch)
}

// Read reads the client's input.
func (h *hijacked) Read(p []byte) (int, error) {
	if h.err != nil {
		h.endInput()
		return 0, h.err
	}
	if len(h.early) > 0 {
		n := copy(p, h.early)
		h.early = h.early[n:]
		return n, nil
	}
	n, err := h.conn.Read(p)
	if err != nil {
		h.endInput()
	}
	return n, err
}

// Write writes output to the client.
func (h *hijacked) Write(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	return h.conn.Write(p)
}

// interrupt ends reads and writes that wait.
func (h *hijacked) interrupt() {
	h.endInput()
	if h.conn != nil {
		_ = h.conn.SetDeadline(time.Unix(1, 0)) // closed already
	}
}

// watch closes gone when the client has closed its end for both directions. On TCP that shows only by a reset.
func (h *hijacked) watch() {
	<-h.inputEnded
	c, ok := h.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	hungUp := false
	_ = raw.Read(func(fd uintptr) bool { // it waits for any change; its error is the interruption
		fds := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP and POLLERR are always told
		_, err := unix.Poll(fds, 0)
		hungUp = err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		return hungUp
	})
	if hungUp {
		close(h.gone)
	}
}

// Close ends the connection after all that was written has been read.
func (h *hijacked) Close() {
	if h.conn == nil {
		return
	}
	h.interrupt()
	h.watching.Wait()
	defer h.conn.Close()
	half, ok := h.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if h.conn.SetDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, h.conn) // to its end, or the deadline
	}
}

// opened reports whether the answer has begun.
func (h *hijacked) opened() bool { return h.conn != nil }

// say writes last words to a client that may have gone.
func (h *hijacked) say(to io.Writer, words string) {
	if h.conn.SetWriteDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.WriteString(to, words)
	}
}
