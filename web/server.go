package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"berth/handlers"
	"berth/static"
)

// Server answers visitors. Use: New, Listen, Serve.
type Server struct {
	cfg      Config
	http     *http.Server
	echo     *echo.Echo
	identity *identity
	hosts    *hosts
	proxies  proxies
	limiter  *limiter
	handlers *handlers.Handlers

	listener net.Listener
	streams  context.Context // ends first at a shutdown
	stop     context.CancelFunc
	running  sync.WaitGroup // requests, hijacked ones included
}

// New checks cfg, reads or makes the keys in the data directory, and builds the routes. It opens no socket.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	assets, err := static.New()
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	allowed, err := newHosts(cfg.Hosts, cfg.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, identity: id, hosts: allowed, proxies: cfg.TrustedProxies, limiter: newLimiter(cfg.Rate)}
	s.handlers, err = handlers.New(handlers.Config{
		Manager: cfg.Manager, Assets: assets, Log: cfg.Log, Version: cfg.Version, NewVisitor: id.newVisitor,
	})
	if err != nil {
		return nil, err
	}
	s.echo = s.routes()
	return s, nil
}

// Handler is the whole server as a handler, for tests and for those who bring their own listener.
func (s *Server) Handler() http.Handler { return s.echo }

// Listen opens the socket, so that a port that is taken is told before anything else happens.
func (s *Server) Listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Addr, err)
	}
	s.listener = l
	return nil
}

// URL is where a browser on this host finds the server, after Listen.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.TLS != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return scheme + "://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Serve answers until ctx ends, then ends websockets and event streams, waits a little for the other requests, and
// returns when all of them have returned. It returns nil when ctx was the reason.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		return errors.New("web: Serve before Listen")
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.streams, s.stop = context.WithCancel(base)
	defer s.stop()
	s.http = &http.Server{
		Handler: s.counted(s.echo), ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return base },
	}
	l := s.listener
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(l) }()
	select {
	case err := <-failed:
		cancel()
		s.running.Wait()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := s.shutdown(context.WithoutCancel(ctx), cancel)
	<-failed //nolint:errcheck // it is ErrServerClosed: shutdown has been called
	return err
}

func (s *Server) shutdown(ctx context.Context, cancel context.CancelFunc) error {
	s.stop()
	ctx, done := context.WithTimeout(ctx, shutdownGrace)
	defer done()
	err := s.http.Shutdown(ctx)
	cancel()
	if err != nil {
		err = s.http.Close() // those who took longer than the grace
	}
	s.running.Wait()
	return err
}

// Close gives the socket back where Serve has not been called.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the listener: %w", err)
	}
	return nil
}

// counted knows the requests whose connection a websocket has taken over, for which http.Server does not wait.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		next.ServeHTTP(w, r)
	})
}
