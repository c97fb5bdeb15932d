// Package dns answers sandboxes' questions for addresses by asking the host's own name servers. A sandbox reaches nothing
// private, so it cannot ask those itself.
//
// Every sandbox has its own sockets, on its gateway's address, and its own bound on questions in flight: one that floods
// is told SERVFAIL, and its neighbours do not notice.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// Bounds of one sandbox. A question takes at most 64 KiB each way.
const (
	maxQuestions = 64 // in flight
	maxTCP       = 16 // connections; further ones wait in the kernel's queue
	port         = 53
)

// Timeouts. A stub resolver asks again after 5 s.
const (
	upstreamTimeout = 2 * time.Second // for one name server
	questionTimeout = 4 * time.Second // for all of them
	idleTimeout     = 10 * time.Second
)

// Config of a Forwarder.
type Config struct {
	Upstream   []netip.AddrPort // name servers to ask; none: those of ResolvConf
	ResolvConf string           // read again when it changes; default /etc/resolv.conf
	Port       uint16           // to answer on; default 53
	Log        *slog.Logger
}

// Forwarder answers on the gateways of sandboxes. Make one with New, end it with Close.
type Forwarder struct {
	upstream *upstreams
	port     uint16
	log      *slog.Logger
	ctx      context.Context // of all questions in flight
	cancel   context.CancelFunc

	mu        sync.Mutex
	closed    bool
	listeners map[netip.Addr]*listener
}

// New returns a forwarder that listens nowhere yet. When ctx ends, what is being asked is answered with SERVFAIL; Close ends
// the rest.
func New(ctx context.Context, c Config) *Forwarder {
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	if c.Port == 0 {
		c.Port = port
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{
		upstream: &upstreams{fixed: c.Upstream, file: c.ResolvConf},
		port:     c.Port, log: c.Log, listeners: map[netip.Addr]*listener{},
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

// Listen answers on a gateway's address, which the host must have already. A second call for an address does nothing.
func (f *Forwarder) Listen(ctx context.Context, gateway netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("dns: closed")
	}
	if _, ok := f.listeners[gateway]; ok {
		return nil
	}
	l, err := f.listen(ctx, gateway)
	if err != nil {
		return fmt.Errorf("dns: listen on %s: %w", gateway, err)
	}
	f.listeners[gateway] = l
	return nil
}

// Unlisten stops answering on a gateway's address and returns when its last question is through. It is idempotent.
func (f *Forwarder) Unlisten(gateway netip.Addr) error {
	f.mu.Lock()
	l := f.listeners[gateway]
	delete(f.listeners, gateway)
	f.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.close()
}

// Close stops answering everywhere. It is idempotent.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	f.closed = true
	all := f.listeners
	f.listeners = map[netip.Addr]*listener{}
	f.mu.Unlock()
	f.cancel()
	var errs []error
	for _, l := range all {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// listener is one gateway's sockets and the goroutines that read them.
type listener struct {
	servers []*dns.Server
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

func (f *Forwarder) listen(ctx context.Context, gateway netip.Addr) (*listener, error) {
	address := net.JoinHostPort(gateway.String(), strconv.Itoa(int(f.port)))
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	tcp, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	l := &listener{}
	h := &handler{upstream: f.upstream, log: f.log.With("gateway", gateway), slots: make(chan struct{}, maxQuestions)}
	h.ctx, l.cancel = context.WithCancel(f.ctx)
	idle := func() time.Duration { return idleTimeout }
	l.servers = []*dns.Server{
		{PacketConn: udp, Handler: h, UDPSize: dns.DefaultMsgSize},
		{Listener: netutil.LimitListener(tcp, maxTCP), Handler: h, IdleTimeout: idle, ReadTimeout: idleTimeout},
	}
	started := make(chan struct{}, len(l.servers))
	for _, s := range l.servers {
		s.NotifyStartedFunc = func() { started <- struct{}{} }
		l.done.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				h.log.Error("dns stopped", "error", err)
			}
		})
	}
	for range l.servers {
		<-started // a server that has not started cannot be shut down
	}
	return l, nil
}

func (l *listener) close() error {
	l.cancel()
	var errs []error
	for _, s := range l.servers {
		errs = append(errs, s.Shutdown())
	}
	l.done.Wait()
	return errors.Join(errs...)
}
