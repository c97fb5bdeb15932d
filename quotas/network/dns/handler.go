package dns

import (
	"context"
	"log/slog"
	"net"

	"github.com/miekg/dns"
)

// handler answers one sandbox's questions.
type handler struct {
	ctx      context.Context // ends with the listener
	upstream *upstreams
	slots    chan struct{}
	log      *slog.Logger
}

// ServeDNS answers every question, if only with why it cannot.
func (h *handler) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a := h.answer(q, protocolOf(w))
	if protocolOf(w) == "udp" {
		a.Truncate(udpSize(q))
	}
	if err := w.WriteMsg(a); err != nil {
		h.log.Debug("dns answer not sent", "error", err)
	}
}

func (h *handler) answer(q *dns.Msg, protocol string) *dns.Msg {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		return failure(q, dns.RcodeNotImplemented)
	case len(q.Question) != 1:
		return failure(q, dns.RcodeFormatError)
	case q.Question[0].Qtype == dns.TypeAXFR || q.Question[0].Qtype == dns.TypeIXFR:
		return failure(q, dns.RcodeRefused) // whole zones are not for sandboxes
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return failure(q, dns.RcodeServerFailure)
	}
	ctx, cancel := context.WithTimeout(h.ctx, questionTimeout)
	defer cancel()
	a, err := h.upstream.ask(ctx, q, protocol)
	if err != nil {
		h.log.Warn("dns question not answered", "name", q.Question[0].Name, "error", err)
		return failure(q, dns.RcodeServerFailure)
	}
	return a
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

func protocolOf(w dns.ResponseWriter) string {
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		return "tcp"
	}
	return "udp"
}
