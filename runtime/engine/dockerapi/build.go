package dockerapi

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"

	"berth/runtime/engine/build"
)

// Builds answers for the builder: BuildKit's own protocol, and the classic one of POST /build.
type Builds struct {
	// Builder makes the builder, once: nobody who does not build pays for it.
	Builder func(ctx context.Context) (*build.Builder, error)
	Log     *slog.Logger

	running *runningBuilds
}

// NewBuilds answers for the builder that open makes.
func NewBuilds(open func(ctx context.Context) (*build.Builder, error), log *slog.Logger) Builds {
	return Builds{Builder: open, Log: log, running: &runningBuilds{}}
}

// Routes adds the routes of the builder.
func (b Builds) Routes(r *Router) {
	r.Handle(http.MethodPost, "/grpc", b.grpc)
	r.Handle(http.MethodPost, "/session", b.session)
	r.Handle(http.MethodPost, "/build", b.build)
	r.Handle(http.MethodPost, "/build/cancel", b.cancelBuild)
	r.Handle(http.MethodPost, "/build/prune", b.prune)
}

// grpc hands the connection over to BuildKit.
func (b Builds) grpc(w http.ResponseWriter, r *http.Request) error {
	if proto := r.Header.Get("Upgrade"); proto != "h2c" {
		return Invalid("protocol %q is not supported: Upgrade must be h2c", proto)
	}
	builder, err := b.Builder(r.Context())
	if err != nil {
		return err
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")); err != nil {
		return err
	}
	builder.Serve(r.Context(), earlyConn{conn, buffered.Reader})
	return nil
}

// session is a client's own part of a build: it stays until the client leaves.
func (b Builds) session(w http.ResponseWriter, r *http.Request) error {
	builder, err := b.Builder(r.Context())
	if err != nil {
		return err
	}
	return builder.Session(r.Context(), w, r)
}

// earlyConn is a connection of which the server has read ahead.
type earlyConn struct {
	net.Conn
	early *bufio.Reader
}

// Read is of net.Conn.
func (c earlyConn) Read(p []byte) (int, error) {
	if n := c.early.Buffered(); n > 0 {
		return c.early.Read(p[:min(len(p), n)])
	}
	return c.Conn.Read(p)
}
