package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// Bounds of one container's resolver.
const (
	maxQuestions = 256 // passed on and not answered yet
	maxTCP       = 32  // connections; further ones wait in the kernel's queue
	idleTimeout  = 10 * time.Second
)

// nameTTL is how long an answer about a container may be kept, in seconds: Docker's.
const nameTTL = 600

// resolver answers a container's questions for names: those of its networks itself, others by asking upstream. Its sockets
// are in the container's namespace, on 127.0.0.11.
type resolver struct {
	m       *Manager
	mb      *member
	log     *slog.Logger
	ctx     context.Context // of questions passed on
	cancel  context.CancelFunc
	slots   chan struct{}
	servers []*dns.Server
	done    sync.WaitGroup
}

// setResolver starts or ends the container's resolver as its networks need. It runs on a thread in its namespace.
func (m *Manager) setResolver(mb *member) error {
	m.mu.Lock()
	named := mb.named()
	m.mu.Unlock()
	switch {
	case !named:
		mb.resolver.close()
		mb.resolver = nil
	case mb.resolver == nil:
		r, err := m.newResolver(mb)
		if err != nil {
			return fmt.Errorf("resolver: %w", err)
		}
		mb.resolver = r
	}
	return nil
}

func (m *Manager) newResolver(mb *member) (*resolver, error) {
	r := &resolver{m: m, mb: mb, log: m.log.With("container", mb.join.ContainerID), slots: make(chan struct{}, maxQuestions)}
	r.ctx, r.cancel = context.WithCancel(m.ctx)
	udp, tcp, err := listenDNS(r.ctx)
	if err != nil {
		r.cancel()
		return nil, err
	}
	idle := func() time.Duration { return idleTimeout }
	r.servers = []*dns.Server{
		{PacketConn: udp, Handler: r, UDPSize: dns.DefaultMsgSize},
		{Listener: netutil.LimitListener(tcp, maxTCP), Handler: r, IdleTimeout: idle, ReadTimeout: idleTimeout},
	}
	started := make(chan struct{}, len(r.servers))
	for _, s := range r.servers {
		s.NotifyStartedFunc = func() { started <- struct{}{} }
		r.done.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				r.log.Error("resolver stopped", "error", err)
			}
		})
	}
	for range r.servers {
		<-started // a server that has not started cannot be shut down
	}
	return r, nil
}

// listenDNS opens the resolver's sockets. They are not on port 53, but what goes there comes to them: a container that is a
// name server itself wants port 53 of all its addresses.
func listenDNS(ctx context.Context) (net.PacketConn, net.Listener, error) {
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(ctx, "udp4", resolverAddress+":0")
	if err != nil {
		return nil, nil, err
	}
	tcp, err := lc.Listen(ctx, "tcp4", resolverAddress+":0")
	if err != nil {
		return nil, nil, errors.Join(err, udp.Close())
	}
	if err := redirectDNS(portOf(udp.LocalAddr()), portOf(tcp.Addr())); err != nil {
		return nil, nil, errors.Join(err, udp.Close(), tcp.Close())
	}
	return udp, tcp, nil
}

func portOf(a net.Addr) uint16 {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return 0 // sockets of IPv4 have ports
	}
	return p.Port()
}

// close ends the resolver, where there is one, and waits for its goroutines.
func (r *resolver) close() {
	if r == nil {
		return
	}
	r.cancel()
	for _, s := range r.servers {
		if err := s.Shutdown(); err != nil {
			r.log.Debug("resolver", "error", err)
		}
	}
	r.done.Wait()
}

// ServeDNS answers every question, if only with why it cannot.
func (r *resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	a := r.answer(q, tcp)
	if !tcp {
		a.Truncate(udpSize(q))
	}
	if err := w.WriteMsg(a); err != nil {
		r.log.Debug("answer not sent", "error", err)
	}
}

func (r *resolver) answer(q *dns.Msg, tcp bool) *dns.Msg {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		return failure(q, dns.RcodeNotImplemented)
	case len(q.Question) != 1:
		return failure(q, dns.RcodeFormatError)
	}
	if a := r.own(q); a != nil {
		return a
	}
	servers := r.passTo()
	if len(servers) == 0 {
		return failure(q, dns.RcodeServerFailure)
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return failure(q, dns.RcodeServerFailure)
	}
	a, err := ask(r.ctx, servers, q, tcp)
	if err != nil {
		r.log.Debug("question not answered", "name", q.Question[0].Name, "error", err)
		return failure(q, dns.RcodeServerFailure)
	}
	return a
}

// own answers what is about containers, or returns nil.
func (r *resolver) own(q *dns.Msg) *dns.Msg {
	question := q.Question[0]
	name := strings.TrimSuffix(question.Name, ".")
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: nameTTL}
	a := new(dns.Msg).SetReply(q)
	a.RecursionAvailable = true
	switch question.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		found := r.lookUp(name)
		if len(found) == 0 {
			return nil
		}
		if question.Qtype == dns.TypeAAAA {
			return a // the name is known, and has no address of IPv6
		}
		for _, address := range found {
			a.Answer = append(a.Answer, &dns.A{Hdr: header, A: address.AsSlice()})
		}
		return a
	case dns.TypePTR:
		target := r.reverse(name)
		if target == "" {
			return nil
		}
		a.Answer = []dns.RR{&dns.PTR{Hdr: header, Ptr: dns.Fqdn(target)}}
		return a
	}
	return nil
}

// passTo are the name servers for what is not ours. A container that reaches nothing outside has none.
func (r *resolver) passTo() []netip.Addr {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.mb.gateway() == nil {
		return nil
	}
	if len(r.mb.join.DNS) > 0 {
		return r.mb.join.DNS
	}
	return r.m.o.DNS
}

func failure(q *dns.Msg, code int) *dns.Msg {
	a := new(dns.Msg).SetRcode(q, code)
	a.RecursionAvailable = true
	return a
}

// udpSize is what the asker takes in one packet (RFC 6891; 512 without EDNS).
func udpSize(q *dns.Msg) int {
	if o := q.IsEdns0(); o != nil {
		return max(dns.MinMsgSize, int(o.UDPSize()))
	}
	return dns.MinMsgSize
}
