package dns_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	forward "berth/quotas/network/dns"
)

// upstream is a name server that answers A questions with answer, "big." with more than a packet, and "slow." when told.
type upstream struct {
	addr    netip.AddrPort
	release chan struct{}
	asked   atomic.Int64
	waiting chan struct{}
}

func newUpstream(t *testing.T, answer string) *upstream {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	addr := netip.MustParseAddrPort(pc.LocalAddr().String())
	l, err := net.Listen("tcp", addr.String())
	must(t, err)
	u := &upstream{addr: addr, release: make(chan struct{}), waiting: make(chan struct{}, 1000)}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		u.asked.Add(1)
		a := new(dns.Msg).SetReply(q)
		n := 1
		switch q.Question[0].Name {
		case "big.":
			n = 100
		case "slow.":
			u.waiting <- struct{}{}
			<-u.release
		case "broken.":
			a.Rcode, n = dns.RcodeServerFailure, 0
		}
		for range n {
			rr, err := dns.NewRR(q.Question[0].Name + " 60 IN A " + answer)
			if err != nil {
				panic(err)
			}
			a.Answer = append(a.Answer, rr)
		}
		if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
			a.Truncate(512)
		}
		_ = w.WriteMsg(a)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { must(t, s.Shutdown()); must(t, <-done) })
	}
	return u
}

// listen starts a forwarder and returns where it answers.
func listen(t *testing.T, c forward.Config) (*forward.Forwarder, string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.Port = netip.MustParseAddrPort(free.Addr().String()).Port()
	must(t, free.Close())
	f := forward.New(t.Context(), c)
	t.Cleanup(func() { must(t, f.Close()) })
	must(t, f.Listen(t.Context(), netip.MustParseAddr("127.0.0.1")))
	return f, fmt.Sprintf("127.0.0.1:%d", c.Port)
}

func ask(t *testing.T, protocol, server, name string) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: protocol, Timeout: 10 * time.Second}
	a, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), server)
	must(t, err)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestForwards(t *testing.T) {
	u := newUpstream(t, "10.0.0.7")
	_, addr := listen(t, forward.Config{Upstream: []netip.AddrPort{u.addr}})
	for _, protocol := range []string{"udp", "tcp"} {
		a := ask(t, protocol, addr, "example.org.")
		if len(a.Answer) != 1 || !strings.HasSuffix(a.Answer[0].String(), "10.0.0.7") {
			t.Errorf("%s: %v", protocol, a)
		}
	}
	if a := ask(t, "udp", addr, "big."); !a.Truncated {
		t.Error("a big answer came whole in a small packet")
	}
	if a := ask(t, "tcp", addr, "big."); a.Truncated || len(a.Answer) != 100 {
		t.Errorf("over TCP a big answer has %d records", len(a.Answer))
	}
}

func TestNextServerWhenOneIsGoneOrBroken(t *testing.T) {
	u := newUpstream(t, "1.1.1.1")
	gone := netip.MustParseAddrPort("127.0.0.1:1")
	_, addr := listen(t, forward.Config{Upstream: []netip.AddrPort{gone, u.addr}})
	if a := ask(t, "udp", addr, "example.org."); a.Rcode != dns.RcodeSuccess {
		t.Errorf("%v", a)
	}
	if a := ask(t, "udp", addr, "broken."); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", a)
	}
}

func TestServerFailureWhenNobodyAnswers(t *testing.T) {
	for name, c := range map[string]forward.Config{
		"gone":    {Upstream: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}},
		"no file": {ResolvConf: filepath.Join(t.TempDir(), "none")},
		"nobody":  {ResolvConf: os.DevNull},
	} {
		_, addr := listen(t, c)
		if a := ask(t, "udp", addr, "example.org."); a.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func TestStrangeQuestions(t *testing.T) {
	u := newUpstream(t, "1.1.1.1")
	_, addr := listen(t, forward.Config{Upstream: []netip.AddrPort{u.addr}})
	transfer := new(dns.Msg).SetQuestion("example.org.", dns.TypeAXFR)
	notify := new(dns.Msg).SetNotify("example.org.")
	for _, c := range []struct {
		q    *dns.Msg
		code int
	}{{transfer, dns.RcodeRefused}, {notify, dns.RcodeNotImplemented}} {
		client := dns.Client{Net: "tcp"}
		a, _, err := client.ExchangeContext(t.Context(), c.q, addr)
		must(t, err)
		if a.Rcode != c.code {
			t.Errorf("%v", a)
		}
	}
	if n := u.asked.Load(); n != 0 {
		t.Errorf("%d were forwarded", n)
	}
	c, err := net.Dial("udp", addr)
	must(t, err)
	defer c.Close()
	_, err = c.Write([]byte("garbage that is not a question"))
	must(t, err)
	ask(t, "udp", addr, "example.org.") // it lives on
}

// A flood is told SERVFAIL at once; nothing waits without bound.
func TestFloodIsTold(t *testing.T) {
	u := newUpstream(t, "1.1.1.1")
	_, addr := listen(t, forward.Config{Upstream: []netip.AddrPort{u.addr}})
	const inFlight = 64
	codes := make(chan int, inFlight)
	for range inFlight {
		go func() {
			c := dns.Client{Net: "udp", Timeout: 10 * time.Second}
			a, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("slow.", dns.TypeA), addr)
			if err != nil {
				codes <- -1
				return
			}
			codes <- a.Rcode
		}()
	}
	for range inFlight {
		<-u.waiting
	}
	if a := ask(t, "udp", addr, "example.org."); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many: %v", a)
	}
	close(u.release)
	for range inFlight {
		if code := <-codes; code != dns.RcodeSuccess {
			t.Errorf("code %d", code)
		}
	}
	if a := ask(t, "udp", addr, "example.org."); a.Rcode != dns.RcodeSuccess {
		t.Errorf("afterwards: %v", a)
	}
}

func TestResolvConfIsReadAgain(t *testing.T) {
	// A resolv.conf names no port: servers of the test stand on port 53 of loopback addresses, which needs root.
	if os.Geteuid() != 0 {
		t.Skip("needs root: listens on port 53 of 127.53.x.x")
	}
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for _, answer := range []string{"1.1.1.1", "2.2.2.2"} {
		server := "127.53." + answer[:3]
		pc, err := net.ListenPacket("udp", server+":53")
		must(t, err)
		h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			a := new(dns.Msg).SetReply(q)
			rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A " + answer)
			a.Answer = []dns.RR{rr}
			_ = w.WriteMsg(a)
		})
		s := &dns.Server{PacketConn: pc, Handler: h}
		done := make(chan error, 1)
		go func() { done <- s.ActivateAndServe() }()
		t.Cleanup(func() {
			_ = pc.Close()
			if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
	must(t, os.WriteFile(file, []byte("nameserver 127.53.1.1\n"), 0o600))
	_, addr := listen(t, forward.Config{ResolvConf: file})
	if a := ask(t, "udp", addr, "example.org."); len(a.Answer) != 1 || !strings.HasSuffix(a.Answer[0].String(), "1.1.1.1") {
		t.Errorf("%v", a)
	}
	must(t, os.WriteFile(file+".new", []byte("nameserver 127.53.2.2\n"), 0o600))
	must(t, os.Rename(file+".new", file))
	if a := ask(t, "udp", addr, "example.org."); len(a.Answer) != 1 || !strings.HasSuffix(a.Answer[0].String(), "2.2.2.2") {
		t.Errorf("after the change: %v", a)
	}
}

func TestUnlistenFreesTheAddress(t *testing.T) {
	f, addr := listen(t, forward.Config{Upstream: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}})
	gateway := netip.MustParseAddr("127.0.0.1")
	must(t, f.Listen(t.Context(), gateway)) // again: nothing happens
	for range 2 {
		must(t, f.Unlisten(gateway))
	}
	l, err := net.Listen("tcp", addr)
	must(t, err)
	if err := f.Listen(t.Context(), gateway); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error("listens on an address that is taken")
	}
	must(t, l.Close())
	must(t, f.Listen(t.Context(), gateway))
	must(t, f.Close())
	if err := f.Listen(t.Context(), gateway); err == nil {
		t.Error("listens after Close")
	}
}
