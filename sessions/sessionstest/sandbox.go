package sessionstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// Sandbox is a sandbox of Launcher.
type Sandbox struct {
	launcher *Launcher
	id       sessions.ID
	server   *http.Server
	pipe     *pipe
	served   chan struct{} // closed when the server has stopped
	gone     chan struct{} // closed when the sandbox has ended, after exit was set
	once     sync.Once
	exit     sessions.Exit
	usage    quotas.Usage // guarded by Launcher.mu
	reads    int          // guarded by Launcher.mu
}

func newSandbox(l *Launcher, id sessions.ID, spec sessions.Spec) *Sandbox {
	api := newFiles()
	if l.Handler != nil {
		api = l.Handler(id)
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"api": 1, "version": "test", "ready": true})
	})
	s := &Sandbox{
		launcher: l, id: id, pipe: newPipe(), served: make(chan struct{}), gone: make(chan struct{}),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, usage: usageOf(spec.Limits),
	}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(s.pipe) // returns when the sandbox ends
	}()
	return s
}

// Dial implements sessions.Sandbox.
func (s *Sandbox) Dial(ctx context.Context) (net.Conn, error) {
	c, err := s.pipe.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", s.id, err)
	}
	return c, nil
}

// Usage implements sessions.Sandbox.
func (s *Sandbox) Usage(ctx context.Context) (quotas.Usage, error) {
	if s.ended() {
		return quotas.Usage{}, fmt.Errorf("usage of %s: it has ended", s.id)
	}
	s.launcher.mu.Lock()
	defer s.launcher.mu.Unlock()
	s.reads++
	s.usage.At = time.Now()
	return s.usage, context.Cause(ctx)
}

// Wait implements sessions.Sandbox.
func (s *Sandbox) Wait(ctx context.Context) (sessions.Exit, error) {
	select {
	case <-s.gone:
		return s.exit, nil
	case <-ctx.Done():
		return sessions.Exit{}, context.Cause(ctx)
	}
}

// Close implements sessions.Sandbox.
func (s *Sandbox) Close(ctx context.Context) error {
	l := s.launcher
	if l.CloseTime > 0 {
		timer := time.NewTimer(l.CloseTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("close %s: %w", s.id, context.Cause(ctx))
		}
	}
	l.mu.Lock()
	if l.failures.close > 0 {
		l.failures.close--
		defer l.mu.Unlock()
		return fmt.Errorf("close %s: %w", s.id, l.failures.closeErr)
	}
	if l.running[s.id] == s {
		delete(l.running, s.id)
		l.counts.Closed[s.id]++
	}
	l.mu.Unlock()
	s.end(sessions.Exit{Reason: sessions.Closed})
	return nil
}

func (s *Sandbox) end(exit sessions.Exit) {
	s.once.Do(func() {
		_ = s.server.Close() // ends its connections too
		_ = s.pipe.Close()
		<-s.served
		s.exit = exit
		close(s.gone)
	})
}

func (s *Sandbox) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// pipe is a net.Listener whose connections are pipes in memory.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var errClosed = errors.New("the sandbox has ended")

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
