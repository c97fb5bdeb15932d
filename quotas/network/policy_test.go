package network_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"

	"berth/quotas"
	"berth/quotas/network"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Everything that policy forbids is tried; what the world sees of it is counted, and must be 0.
func TestNothingOutsidePolicyGetsOut(t *testing.T) {
	listed := func(protocol string, port int) bool {
		return protocol == "tcp" && (port == 443 || port >= 8000 && port <= 8999) || protocol == "udp" && port == 53
	}
	for name, c := range map[string]struct {
		egress  quotas.Egress
		allowed func(protocol string, port int) bool // on public addresses
	}{
		"default": {quotas.Egress{}, func(protocol string, port int) bool { return protocol == "udp" || port != 25 }},
		"ports":   {quotas.Egress{Ports: []string{"443", "8000-8999", "53/udp"}}, listed},
		"nothing": {quotas.Egress{Deny: true}, func(string, int) bool { return false }},
		"smtp only": {
			quotas.Egress{Ports: []string{"25/tcp"}},
			func(protocol string, port int) bool { return protocol == "tcp" && port == 25 },
		},
	} {
		t.Run(name, func(t *testing.T) { testPolicy(t, c.egress, c.allowed) })
	}
}

// TestServicesThatAreAllowed: a port of a private address that the operator allows is reached, what stands beside it is not.
func TestServicesThatAreAllowed(t *testing.T) {
	w := newWorld(t)
	mirror := netip.AddrPortFrom(netip.MustParseAddr(privateAddresses[0]), 5000)
	h := openHost(t, "a", t.TempDir(), mirror)
	s := newSandbox(t, h, "one", quotas.Limits{})
	w.packets()
	for _, address := range []string{mirror.String(), mirror.Addr().String() + ":5001", privateAddresses[1] + ":5000"} {
		s.send(t, "tcp", address)
		s.send(t, "udp", address)
	}
	got := w.packets()
	for _, p := range got {
		if p.protocol != unix.IPPROTO_TCP || p.destination != mirror.Addr().String() || p.port != int(mirror.Port()) {
			t.Errorf("got out: %+v", p)
		}
	}
	if len(got) == 0 {
		t.Error("what is allowed did not get out")
	}
}

func testPolicy(t *testing.T, egress quotas.Egress, allowed func(protocol string, port int) bool) {
	w := newWorld(t)
	h := openHost(t, "a", t.TempDir())
	s := newSandbox(t, h, "one", quotas.Limits{Egress: egress})
	neighbour := newSandbox(t, h, "two", quotas.Limits{})
	w.packets()
	quiet, err := neighbour.Traffic()
	must(t, err)
	want := map[string]bool{}
	var denied int64
	for _, a := range append(publicAddresses, privateAddresses...) {
		for _, port := range []int{25, 53, 80, 443, 7999, 8080, 9000} {
			for _, protocol := range []string{"tcp", "udp"} {
				address := fmt.Sprintf("%s:%d", a, port)
				s.send(t, protocol, address)
				if slices.Contains(publicAddresses, a) && allowed(protocol, port) {
					want[protocol+" "+address] = true
				} else {
					denied++
				}
			}
		}
	}
	s.ping(t, "10.1.2.3")
	s.send(t, "tcp", neighbour.Address.String()+":22")
	s.send(t, "udp", neighbour.Address.String()+":22")
	denied += 3

	names := map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp"}
	seen := map[string]bool{}
	for _, p := range w.packets() {
		a := fmt.Sprintf("%s %s:%d", names[p.protocol], p.destination, p.port)
		seen[a] = true
		if p.source != hostPublic || !want[a] {
			t.Errorf("got out: %s from %s", a, p.source)
		}
	}
	for a := range want {
		if !seen[a] {
			t.Errorf("%s is allowed and did not get out", a)
		}
	}
	if traffic, err := s.Traffic(); err != nil || traffic.Denied != denied {
		t.Errorf("%d packets denied, want %d, %v", traffic.Denied, denied, err)
	}
	if traffic, err := neighbour.Traffic(); err != nil || traffic.Received != quiet.Received {
		t.Errorf("the neighbour received something: %+v, before %+v, %v", traffic, quiet, err)
	}
}

func (s *sandbox) ping(t testing.TB, address string) {
	s.run(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		must(t, err)
		defer func() { _ = unix.Close(fd) }()
		a := netip.MustParseAddr(address).As4()
		_ = unix.Sendto(fd, []byte{8, 0, 0xf7, 0xfe, 0, 1, 0, 0}, 0, &unix.SockaddrInet4{Addr: a})
	})
}

func TestSpoofedSourcesAreDropped(t *testing.T) {
	w := newWorld(t)
	h := openHost(t, "a", t.TempDir())
	s := newSandbox(t, h, "one", quotas.Limits{})
	neighbour := newSandbox(t, h, "two", quotas.Limits{})
	w.packets()
	s.sendFrom(t, s.Address.String())
	if got := w.packets(); len(got) != 1 { // or the test could not fail
		t.Fatalf("with its own address: %v", got)
	}
	for _, source := range []string{"9.9.9.9", hostPublic, "8.8.8.8", neighbour.Address.String(), s.Gateway.String(), "127.0.0.1"} {
		s.sendFrom(t, source)
	}
	if got := w.packets(); len(got) > 0 {
		t.Errorf("got out: %v", got)
	}
}

// sendFrom sends a packet with a source address of choice.
func (s *sandbox) sendFrom(t testing.TB, source string) {
	s.run(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		must(t, err)
		defer func() { _ = unix.Close(fd) }()
		b := make([]byte, 28) // IPv4 with UDP to port 53, no checksum
		b[0], b[3], b[8], b[9] = 0x45, 28, 64, unix.IPPROTO_UDP
		copy(b[12:], ip(source))
		copy(b[16:], ip("1.2.3.4"))
		b[23], b[25] = 53, 8
		_ = unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: [4]byte{1, 2, 3, 4}})
	})
}

func TestTheHostItselfIsOutOfReach(t *testing.T) {
	newWorld(t)
	s := newSandbox(t, openHost(t, "a", t.TempDir()), "one", quotas.Limits{})
	l, err := net.Listen("tcp4", "0.0.0.0:8080")
	must(t, err)
	defer func() { _ = l.Close() }()
	for _, a := range []string{hostPublic, s.Gateway.String()} {
		if _, err := s.ask(a + ":8080"); err == nil {
			t.Errorf("%s:8080 of the host answered", a)
		}
	}
	// The forwarder of DNS on the gateway is the one thing of the host that answers.
	dns, err := net.Listen("tcp4", s.Gateway.String()+":53")
	must(t, err)
	defer func() { _ = dns.Close() }()
	s.send(t, "tcp", s.Gateway.String()+":53")
	must(t, dns.(*net.TCPListener).SetDeadline(time.Now().Add(5*time.Second)))
	c, err := dns.Accept()
	must(t, err)
	_ = c.Close()
}

func TestNobodyComesInFromOutside(t *testing.T) {
	w := newWorld(t)
	s := newSandbox(t, openHost(t, "a", t.TempDir()), "one", quotas.Limits{})
	w.run(func() {
		link, err := netlink.LinkByName("world0")
		must(t, err)
		_, pool, err := net.ParseCIDR(network.DefaultPool)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: pool, Gw: ip(hostPublic)}))
	})
	var l net.Listener
	s.run(func() {
		var err error
		l, err = net.Listen("tcp4", ":8080")
		must(t, err)
	})
	defer func() { _ = l.Close() }()
	quiet, err := s.Traffic()
	must(t, err)
	if _, err := w.ask(s.Address.String() + ":8080"); err == nil {
		t.Error("the sandbox was reached from outside")
	}
	if traffic, err := s.Traffic(); err != nil || traffic.Received != quiet.Received {
		t.Errorf("traffic %+v, before %+v, %v", traffic, quiet, err)
	}
}

func TestNewConnectionsAreLimited(t *testing.T) {
	w := newWorld(t)
	s := newSandbox(t, openHost(t, "a", t.TempDir()), "one", quotas.Limits{Egress: quotas.Egress{ConnectionsPerSecond: 10}})
	w.packets()
	start := time.Now()
	for port := range 200 {
		s.send(t, "tcp", fmt.Sprintf("9.9.9.9:%d", 1000+port))
	}
	most := 10 + 1 + int(10*time.Since(start).Seconds()+1)
	if n := len(w.packets()); n == 0 || n > most {
		t.Errorf("%d of 200 connections got out, want 1 to %d", n, most)
	}
}

// A reload of the host's own firewall takes all rules away.
func TestFlushedRulesComeBack(t *testing.T) {
	w := newWorld(t)
	w.echo(t, "9.9.9.9:443")
	h := openHost(t, "a", t.TempDir())
	s, neighbour := newSandbox(t, h, "one", quotas.Limits{}), newSandbox(t, h, "two", quotas.Limits{})
	if restored, err := s.Enforce(t.Context(), quotas.Limits{}); err != nil || restored {
		t.Errorf("with rules in place: %v, %v", restored, err)
	}
	c, err := nftables.New()
	must(t, err)
	c.FlushRuleset()
	must(t, c.Flush())
	for _, x := range []*sandbox{s, neighbour} {
		if restored, err := x.Enforce(t.Context(), quotas.Limits{}); err != nil || !restored {
			t.Errorf("without rules: %v, %v", restored, err)
		}
		if _, err := x.ask("9.9.9.9:443"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if _, err := x.ask("10.1.2.3:443"); err == nil {
			t.Error("afterwards the policy does not hold")
		}
		if traffic, err := x.Traffic(); err != nil || traffic.Denied == 0 {
			t.Errorf("afterwards: %+v, %v", traffic, err)
		}
	}
}
