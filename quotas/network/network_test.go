package network_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/network"
)

func ip(s string) net.IP { return net.ParseIP(s).To4() }

func openHost(t testing.TB, instance, claims string, allow ...netip.AddrPort) *network.Host {
	t.Helper()
	h, err := network.Open(network.Config{
		Instance: instance, Claims: claims, Deny: []netip.Prefix{netip.MustParsePrefix(operators)}, Allow: allow,
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

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []network.Config{
		{Instance: ""},
		{Instance: "UPPER"},
		{Instance: strings.Repeat("a", 17)},
		{Instance: "a", Pool: netip.MustParsePrefix("fd00::/64")},
		{Instance: "a", Pool: netip.MustParsePrefix("10.0.0.0/31")},
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
