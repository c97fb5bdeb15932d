package handlers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"berth/sessions"
)

// portProtocol is what the sandbox API upgrades to for the bytes of one TCP connection: ARCHITECTURE.md.
const portProtocol = "berth-port"

// PortsRoute is asked every two seconds by every page that is seen.
const PortsRoute = "/api/v1/sessions/:id/ports"

const (
	portTimeout = 10 * time.Second // for a sandbox to say whether somebody listens
	maxRefusal  = 16 << 10         // bytes read of its refusal
)

// dialPort connects to a TCP port of a session, for whoever knows the session's ID. It is the one way in which a sandbox is
// reached without a credential: nothing but the port is asked of it.
func (h *Handlers) dialPort(ctx context.Context, id sessions.ID, port uint16) (net.Conn, error) {
	conn, err := h.Manager.DialShared(ctx, id)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes what is below
	reader, err := askPort(conn, port)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &portConn{Conn: conn, reader: reader}, nil
}

// askPort asks for a port on a fresh connection to the sandbox API. What the port has said already is in the reader.
func askPort(conn net.Conn, port uint16) (*bufio.Reader, error) {
	if err := conn.SetDeadline(time.Now().Add(portTimeout)); err != nil {
		return nil, err
	}
	_, err := fmt.Fprintf(conn, "GET /v1/ports/%d HTTP/1.1\r\nHost: sandbox\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", port, portProtocol)
	if err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer func() { _ = res.Body.Close() }()
		return nil, refusedPort(res, port)
	}
	return reader, conn.SetDeadline(time.Time{})
}

// refusedPort tells a port on which nothing listens, which may come, from a sandbox that cannot do this.
func refusedPort(res *http.Response, port uint16) error {
	var p struct{ Detail string }
	b, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	switch {
	case err != nil:
	case res.StatusCode == http.StatusBadGateway:
		return &HTTPError{Status: http.StatusBadGateway, Code: "port", Message: p.Detail, Retry: retryPort}
	case res.StatusCode == http.StatusServiceUnavailable:
		return &HTTPError{Status: http.StatusServiceUnavailable, Code: "busy", Message: p.Detail, Retry: retryPort}
	}
	return &HTTPError{
		Status: http.StatusBadGateway, Code: "no-ports", Err: err,
		Message: fmt.Sprintf("Port %d cannot be reached: this session's machine answered %d.", port, res.StatusCode),
	}
}

// portConn is a connection to a port.
type portConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c *portConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

// CloseWrite ends the sending half.
func (c *portConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("end the sending half of a %T: %w", c.Conn, http.ErrNotSupported)
}
