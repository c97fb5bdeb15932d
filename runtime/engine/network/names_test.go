package network_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"
	networktypes "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/network"
)

// upstream is the sandbox's name server: it knows example.org.
func (l *lab) upstream(t testing.TB) {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == "example.org." && q.Question[0].Qtype == dns.TypeA {
			header := dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
			a.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(9, 9, 9, 9)}}
		} else {
			a.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(a)
	})
	at := l.o.DNS[0].String() + ":53"
	udp, err := net.ListenPacket("udp", at)
	must(t, err)
	tcp, err := net.Listen("tcp", at)
	must(t, err)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		started, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { must(t, s.Shutdown()); must(t, <-done) })
	}
}

// lookUp asks the container's resolver and returns the answer's code and data, sorted.
func (s *space) lookUp(t testing.TB, protocol, name string, kind uint16) string {
	t.Helper()
	var out string
	s.run(func() {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		a, _, err := (&dns.Client{Net: protocol}).Exchange(q, "127.0.0.11:53")
		if err != nil {
			out = err.Error()
			return
		}
		var data []string
		for _, rr := range a.Answer {
			fields := strings.Fields(rr.String())
			data = append(data, fields[len(fields)-1])
		}
		slices.Sort(data)
		out = strings.TrimSpace(dns.RcodeToString[a.Rcode] + " " + strings.Join(data, " "))
	})
	return out
}

func TestNames(t *testing.T) {
	l := newLab(t)
	l.upstream(t)
	l.create(t, "app")
	l.create(t, "other")
	alias := func(names ...string) map[string]*networktypes.EndpointSettings {
		return map[string]*networktypes.EndpointSettings{"app": {Aliases: names}}
	}
	web := l.join(t, "web", in("app", map[string]*networktypes.EndpointSettings{"app": {Links: []string{"db:database"}}}))
	l.join(t, "db", in("app", alias("postgres", "replica")), func(j *network.Join) { j.Hostname = "dbhost" })
	l.join(t, "db2", in("app", alias("replica")))
	l.join(t, "far", in("other", nil))
	if !strings.Contains(web.ResolvConf, "\nnameserver 127.0.0.11\n") || !strings.Contains(web.ResolvConf, "options ndots:0\n") {
		t.Error(web.ResolvConf)
	}
	if got := web.Endpoints["app"].DNSNames; !slices.Equal(got, []string{"web", identity("web")[:12]}) {
		t.Error(got)
	}
	s := enter(t, web)
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"db", dns.TypeA, "NOERROR 172.18.0.3"},
		{"DB", dns.TypeA, "NOERROR 172.18.0.3"},
		{"web", dns.TypeA, "NOERROR 172.18.0.2"},
		{"db.app", dns.TypeA, "NOERROR 172.18.0.3"},
		{"db", dns.TypeAAAA, "NOERROR"},
		{"dbhost", dns.TypeA, "NOERROR 172.18.0.3"},
		{"postgres", dns.TypeA, "NOERROR 172.18.0.3"},
		{"database", dns.TypeA, "NOERROR 172.18.0.3"},
		{identity("db")[:12], dns.TypeA, "NOERROR 172.18.0.3"},
		{"replica", dns.TypeA, "NOERROR 172.18.0.3 172.18.0.4"},
		{"far", dns.TypeA, "NXDOMAIN"},
		{"far.other", dns.TypeA, "NXDOMAIN"},
		{"3.0.18.172.in-addr.arpa", dns.TypePTR, "NOERROR db.app."},
		{"9.0.18.172.in-addr.arpa", dns.TypePTR, "NXDOMAIN"},
		{"example.org", dns.TypeA, "NOERROR 9.9.9.9"},
		{"example.com", dns.TypeA, "NXDOMAIN"},
	} {
		for _, protocol := range []string{"udp", "tcp"} {
			if got := s.lookUp(t, protocol, c.name, c.kind); got != c.want {
				t.Errorf("%s %s over %s: %q, want %q", c.name, dns.TypeToString[c.kind], protocol, got, c.want)
			}
		}
	}
	s.serve(t, ":53", "a name server of its own")
	must(t, l.Rename(t.Context(), identity("db"), "database-1"))
	for name, want := range map[string]string{"db": "NXDOMAIN", "database-1": "NOERROR 172.18.0.3", "postgres": "NOERROR 172.18.0.3"} {
		if got := s.lookUp(t, "udp", name, dns.TypeA); got != want {
			t.Errorf("%s after renaming: %q, want %q", name, got, want)
		}
	}
	l.leave(t, "db2")
	if got := s.lookUp(t, "udp", "replica", dns.TypeA); got != "NOERROR 172.18.0.3" {
		t.Errorf("after one has left: %q", got)
	}
}

func TestDNSOptions(t *testing.T) {
	l := newLab(t)
	l.create(t, "app")
	j := l.join(t, "web", in("app", nil), func(j *network.Join) {
		j.DNS = []netip.Addr{netip.MustParseAddr("127.53.0.1")}
		j.DNSSearch, j.DNSOptions = []string{"corp.example", "x"}, []string{"ndots:3", "rotate"}
		j.ExtraHosts = []string{"db:10.0.0.9", "gw:host-gateway", "six:[fd00::1]"}
		j.Domainname = "example.org"
	})
	for _, line := range []string{"nameserver 127.0.0.11", "search corp.example x", "options ndots:3 rotate"} {
		if !strings.Contains(j.ResolvConf, line+"\n") {
			t.Errorf("no %q in\n%s", line, j.ResolvConf)
		}
	}
	for _, line := range []string{
		"10.0.0.9\tdb", "172.18.0.1\tgw", "fd00::1\tsix", "172.18.0.2\tweb.example.org web", "127.0.0.1\tlocalhost",
	} {
		if !strings.Contains(j.Hosts, line+"\n") {
			t.Errorf("no %q in\n%s", line, j.Hosts)
		}
	}
	plain := l.join(t, "plain", func(j *network.Join) { j.DNS = []netip.Addr{netip.MustParseAddr("8.8.8.8")} })
	if !strings.Contains(plain.ResolvConf, "nameserver 8.8.8.8\n") || strings.Contains(plain.ResolvConf, "127.") {
		t.Error(plain.ResolvConf)
	}
}

func TestLegacyLink(t *testing.T) {
	l := newLab(t)
	l.join(t, "db")
	web := l.join(t, "web", func(j *network.Join) { j.Links = []string{"/db:/web/database"} })
	if want := "172.17.0.2\tdatabase " + identity("db")[:12] + " db\n"; !strings.Contains(web.Hosts, want) {
		t.Errorf("no %q in\n%s", want, web.Hosts)
	}
	_, err := l.Join(t.Context(), network.Join{ContainerID: identity("x"), Name: "x", Links: []string{"gone:gone"}})
	if !errdefs.IsInvalidArgument(err) || err.Error() != "Cannot link to a non running container: /gone AS /x/gone" {
		t.Error(err)
	}
}
