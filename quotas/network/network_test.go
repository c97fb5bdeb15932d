package network_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/network"
)

func ip(s string) net.IP { return net.ParseIP(s).To4() }

func openHost(t testing.TB, instance, claims string) *network.Host {
	t.Helper()
	h, err := network.Open(network.Config{
		Instance: instance, Claims: claims, Deny: []netip.Prefix{netip.MustParsePrefix(operators)},
	})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// sandbox is a namespace with a link.
type sandbox struct {
	*space
	*network.Link
}

func newSandbox(t testing.TB, h *network.Host, id string, l quotas.Limits) *sandbox {
	t.Helper()
	link, err := h.Allocate(t.Context(), id)
	must(t, err)
	t.Cleanup(func() { must(t, link.Remove(context.Background())) })
	s := &sandbox{space: newSpace(t), Link: link}
	must(t, link.Attach(t.Context(), s.file, l))
	s.awaitUp(t)
	return s
}

// awaitUp waits until the kernel has seen that both ends are up; until then it drops packets.
func (s *sandbox) awaitUp(t testing.TB) {
	up := func(name string) func() {
		return func() {
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
				link, err := netlink.LinkByName(name)
				must(t, err)
				if link.Attrs().OperState == netlink.OperUp {
					return
				}
			}
			t.Errorf("%s does not come up", name)
		}
	}
	up(s.Interface())()
	s.run(up("eth0"))
}

// send sends one UDP packet, or starts one TCP connection, and waits for nothing.
func (s *sandbox) send(t testing.TB, protocol, address string) {
	s.run(func() {
		if protocol == "udp" {
			c, err := net.Dial("udp4", address)
			must(t, err)
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
			return
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		a := netip.MustParseAddrPort(address)
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()})
		_ = unix.Close(fd)
	})
}

// echo answers what comes to a TCP port of the world.
func (w *world) echo(t testing.TB, address string) {
	var l net.Listener
	w.run(func() {
		var err error
		l, err = net.Listen("tcp4", address)
		must(t, err)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(c.RemoteAddr().String()))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// ask connects and returns what the world says.
func (s *space) ask(address string) (string, error) {
	var answer string
	var err error
	s.run(func() {
		var c net.Conn
		if c, err = net.DialTimeout("tcp4", address, 500*time.Millisecond); err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 100)
		var n int
		n, err = c.Read(b)
		answer = string(b[:n])
	})
	return answer, err
}

func TestReachesTheInternetThroughTheHost(t *testing.T) {
	w := newWorld(t)
	w.echo(t, "9.9.9.9:443")
	s := newSandbox(t, openHost(t, "a", t.TempDir()), "one", quotas.Limits{})
	answer, err := s.ask("9.9.9.9:443")
	must(t, err)
	if !strings.HasPrefix(answer, hostPublic+":") {
		t.Errorf("the world saw %s, want the host's address %s", answer, hostPublic)
	}
	s.run(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		must(t, err)
		if len(addrs) != 1 || addrs[0].IP.String() != s.Address.String() {
			t.Errorf("addresses of eth0: %v", addrs)
		}
	})
	if traffic, err := s.Traffic(); err != nil || traffic.Sent == 0 || traffic.Received == 0 || traffic.Denied != 0 {
		t.Errorf("traffic %+v, %v", traffic, err)
	}
}

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
		defer unix.Close(fd)
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
		defer unix.Close(fd)
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
	defer l.Close()
	for _, a := range []string{hostPublic, s.Gateway.String()} {
		if _, err := s.ask(a + ":8080"); err == nil {
			t.Errorf("%s:8080 of the host answered", a)
		}
	}
	// The forwarder of DNS on the gateway is the one thing of the host that answers.
	dns, err := net.Listen("tcp4", s.Gateway.String()+":53")
	must(t, err)
	defer dns.Close()
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
	defer l.Close()
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

func TestSlotsOfTwoServersNeverClash(t *testing.T) {
	newWorld(t)
	claims := t.TempDir()
	a, b := openHost(t, "a", claims), openHost(t, "b", claims)
	foreign := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "berth3"}, PeerName: "other3"} // somebody else's
	must(t, netlink.LinkAdd(foreign))
	t.Cleanup(func() { must(t, netlink.LinkDel(foreign)) })
	const n = 8
	type result struct {
		link *network.Link
		err  error
	}
	results := make(chan result, 2*n)
	for i := range n {
		for _, h := range []*network.Host{a, b} {
			go func() {
				l, err := h.Allocate(t.Context(), fmt.Sprint("id", i))
				results <- result{l, err}
			}()
		}
	}
	slots := map[int]bool{3: true}
	for range 2 * n {
		r := <-results
		must(t, r.err)
		t.Cleanup(func() { must(t, r.link.Remove(context.Background())) })
		if slots[r.link.Slot] {
			t.Errorf("slot %d was given twice", r.link.Slot)
		}
		slots[r.link.Slot] = true
	}
	// One server's sweep leaves the other's alone.
	removed, err := a.Sweep(t.Context(), []string{"id0"})
	must(t, err)
	if len(removed) != n-1 {
		t.Errorf("removed %v", removed)
	}
	for h, want := range map[*network.Host]int{a: 1, b: n} {
		if left, err := h.List(); err != nil || len(left) != want {
			t.Errorf("left %v, want %d (%v)", left, want, err)
		}
	}
}

// Root in the sandbox deletes its interface: the slot, and with it the uid range, must not be handed out again.
func TestDeletedInterfaceKeepsItsSlot(t *testing.T) {
	newWorld(t)
	h := openHost(t, "a", t.TempDir())
	s := newSandbox(t, h, "one", quotas.Limits{})
	s.run(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.LinkDel(link))
	})
	if _, err := s.Traffic(); err != nil {
		t.Error(err)
	}
	if owned, err := h.List(); err != nil || len(owned) != 1 || owned[0] != (network.Owned{Slot: s.Slot, ID: "one"}) {
		t.Errorf("owned %v, %v", owned, err)
	}
}

func TestRestartFindsAndRemoves(t *testing.T) {
	w := newWorld(t)
	w.echo(t, "9.9.9.9:443")
	claims := t.TempDir()
	h, err := network.Open(network.Config{Instance: "a", Claims: claims})
	must(t, err)
	s := newSandbox(t, h, "one", quotas.Limits{Bandwidth: 100e6})
	must(t, h.Close()) // the server is gone, the sandbox is not

	again := openHost(t, "a", claims)
	if _, err := s.ask("9.9.9.9:443"); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	if _, err := s.ask("10.1.2.3:443"); err == nil {
		t.Fatal("after a restart the policy does not hold")
	}
	link := again.Link(s.Slot, "one")
	if traffic, err := link.Traffic(); err != nil || traffic.Denied == 0 {
		t.Errorf("traffic %+v, %v", traffic, err)
	}
	for range 2 {
		must(t, link.Remove(t.Context()))
	}
	if left, err := os.ReadDir(claims); err != nil || len(left) != 0 {
		t.Errorf("claims left: %v, %v", left, err)
	}
	// A later owner of the slot is not touched by a late Remove of the earlier.
	must(t, os.Symlink("b:other", filepath.Join(claims, fmt.Sprint(s.Slot))))
	must(t, link.Remove(t.Context()))
	if owner, err := os.Readlink(filepath.Join(claims, fmt.Sprint(s.Slot))); err != nil || owner != "b:other" {
		t.Errorf("owner %q, %v", owner, err)
	}
}

func TestFailedAttachIsUndoneByRemove(t *testing.T) {
	newWorld(t)
	h := openHost(t, "a", t.TempDir())
	link, err := h.Allocate(t.Context(), "one")
	must(t, err)
	file, err := os.Open("/dev/null")
	must(t, err)
	defer file.Close()
	if err := link.Attach(t.Context(), file, quotas.Limits{}); err == nil {
		t.Error("/dev/null was taken for a namespace")
	}
	s := newSpace(t)
	s.run(func() { // the name is taken: making the pair fails when the rules are in force already
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth1"}))
	})
	if err := link.Attach(t.Context(), s.file, quotas.Limits{}); err == nil {
		t.Error("a second eth0 was made")
	}
	must(t, link.Remove(t.Context()))
	if owned, err := h.List(); err != nil || len(owned) > 0 {
		t.Errorf("owned %v, %v", owned, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []network.Config{
		{Instance: ""}, {Instance: "UPPER"}, {Instance: strings.Repeat("a", 17)},
		{Instance: "a", Pool: netip.MustParsePrefix("fd00::/64")}, {Instance: "a", Pool: netip.MustParsePrefix("10.0.0.0/31")},
	} {
		c.Claims = t.TempDir()
		if _, err := network.Open(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestPortsAreChecked(t *testing.T) {
	newWorld(t)
	h := openHost(t, "a", t.TempDir())
	link, err := h.Allocate(t.Context(), "one")
	must(t, err)
	defer func() { must(t, link.Remove(context.Background())) }()
	s := newSpace(t)
	for _, port := range []string{"", "0", "65536", "9-8", "53/sctp", "53/", "x", "1-", "-1"} {
		err := link.Attach(t.Context(), s.file, quotas.Limits{Egress: quotas.Egress{Ports: []string{port}}})
		if err == nil || !strings.Contains(err.Error(), "egress port") {
			t.Errorf("port %q: %v", port, err)
		}
	}
}

func TestAllocateGivesUpWithItsContext(t *testing.T) {
	newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openHost(t, "a", t.TempDir()).Allocate(ctx, "one"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func BenchmarkAllocateAttachRemove(b *testing.B) {
	newWorld(b)
	h := openHost(b, "a", b.TempDir())
	l := quotas.Limits{Bandwidth: 100e6, Egress: quotas.Egress{Ports: []string{"80", "443"}, ConnectionsPerSecond: 50}}
	var allocate, attach, remove time.Duration
	for b.Loop() {
		s := newSpace(b)
		t0 := time.Now()
		link, err := h.Allocate(b.Context(), "bench")
		must(b, err)
		t1 := time.Now()
		must(b, link.Attach(b.Context(), s.file, l))
		t2 := time.Now()
		must(b, link.Remove(b.Context()))
		allocate, attach, remove = allocate+t1.Sub(t0), attach+t2.Sub(t1), remove+time.Since(t2)
		s.end()
	}
	n := float64(b.N) * float64(time.Millisecond)
	b.ReportMetric(float64(allocate)/n, "allocate-ms")
	b.ReportMetric(float64(attach)/n, "attach-ms")
	b.ReportMetric(float64(remove)/n, "remove-ms")
}

func TestProbeLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	before, forwarding := inventory(t), readForwarding(t)
	must(t, network.Probe(t.Context()))
	if after := inventory(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if after := readForwarding(t); after != forwarding {
		t.Errorf("ip_forward was %s and is %s", forwarding, after)
	}
}

func readForwarding(t *testing.T) string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	must(t, err)
	return strings.TrimSpace(string(b))
}
