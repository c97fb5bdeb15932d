package network_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The whole test runs in a network namespace of its own, which plays the host: the real host's interfaces, rules and
// forwarding are never touched.
const hostVar = "BERTH_TEST_HOST"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(hostVar) != "" {
		os.Exit(m.Run()) // without root every test that needs it is skipped
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), hostVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// space is a network namespace, and a thread in it that runs what the test wants to do there.
type space struct {
	do   chan func()
	file *os.File
	gone chan struct{}
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{do: make(chan func()), gone: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		defer close(s.gone)
		goruntime.LockOSThread() // never unlocked: the thread is spoilt for others
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		if err != nil {
			return
		}
		for f := range s.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// end lets the namespace go, as the end of a sandbox's last process does.
func (s *space) end() {
	select {
	case <-s.gone:
		return
	default:
	}
	close(s.do)
	<-s.gone
	_ = s.file.Close()
}

// run calls f inside.
func (s *space) run(f func()) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); f() }
	<-done
}

// world is an internet of one machine, with every address that a sandbox may or may not reach.
type world struct {
	*space
	sniffer int // AF_PACKET
}

// publicAddresses are reached by a sandbox without a policy; the others never are.
var (
	publicAddresses  = []string{"9.9.9.9", "1.2.3.4"}
	privateAddresses = []string{
		"10.1.2.3", "172.16.5.5", "172.31.255.1", "192.168.7.7", "169.254.169.254", "100.99.1.1", "198.18.0.1",
		"203.0.113.9", "168.63.129.16", "192.0.2.1", "5.6.7.8",
	}
)

const (
	hostPublic  = "5.5.5.1" // the host's own address
	worldPublic = "5.5.5.2"
	operators   = "5.6.7.0/24" // denied by the operator
)

func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	before := inventory(t)
	w := &world{space: newSpace(t)}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink", TxQLen: -1}, PeerName: "world0", PeerTxQLen: -1}
	must(t, netlink.LinkAdd(pair))
	t.Cleanup(func() {
		must(t, netlink.LinkDel(pair))
		if after := inventory(t); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
	peer, err := netlink.LinkByName("world0")
	must(t, err)
	must(t, netlink.LinkSetNsFd(peer, int(w.file.Fd())))
	addAddress(t, pair, hostPublic+"/24")
	must(t, netlink.LinkSetUp(pair))
	must(t, upLoopback())
	must(t, netlink.RouteReplace(&netlink.Route{LinkIndex: pair.Index, Gw: ip(worldPublic)}))
	w.run(func() {
		peer, err := netlink.LinkByName("world0")
		must(t, err)
		addAddress(t, peer, worldPublic+"/24")
		for _, a := range append(publicAddresses, privateAddresses...) {
			addAddress(t, peer, a+"/32")
		}
		must(t, netlink.LinkSetUp(peer))
		must(t, upLoopback())
		w.sniffer, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, unix.SetsockoptInt(w.sniffer, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20))
		must(t, unix.Bind(w.sniffer, &unix.SockaddrLinklayer{
			Protocol: 0x0300, Ifindex: peer.Attrs().Index, // ETH_P_ALL, big endian
		}))
	})
	t.Cleanup(func() { _ = unix.Close(w.sniffer) })
	answers(t, worldPublic)
	return w
}

// answers waits until an address refuses a connection: from then on no packet is lost to a link that is still coming up.
func answers(t testing.TB, address string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		c, err := net.DialTimeout("tcp4", address+":1", 100*time.Millisecond)
		if errors.Is(err, unix.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatalf("%s does not answer", address)
}

// packet is what the world saw come in.
type packet struct {
	source, destination string
	protocol            byte
	port                int
}

// packets returns the IPv4 packets that came in since the last call.
func (w *world) packets() []packet {
	var all []packet
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(w.sniffer, buf, 0)
		if err != nil {
			return all
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 24 || buf[0]>>4 != 4 {
			continue
		}
		header := int(buf[0]&15) * 4
		p := packet{
			source: fmt.Sprintf("%d.%d.%d.%d", buf[12], buf[13], buf[14], buf[15]), protocol: buf[9],
			destination: fmt.Sprintf("%d.%d.%d.%d", buf[16], buf[17], buf[18], buf[19]),
		}
		if n >= header+4 {
			p.port = int(buf[header+2])<<8 | int(buf[header+3])
		}
		all = append(all, p)
	}
}

func upLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func addAddress(t testing.TB, link netlink.Link, address string) {
	t.Helper()
	a, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrAdd(link, a))
}

// inventory is all that the network code could leave in the host.
func inventory(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		fmt.Fprintln(&b, "link", l.Attrs().Name)
	}
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTables()
	must(t, err)
	for _, table := range tables {
		fmt.Fprintln(&b, "table", table.Name)
	}
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
