package network_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/engine/events"
	"berth/runtime/engine/network"
)

// The tests run in a network namespace of their own, which plays the sandbox: as the host's root, and again as the root of a
// user namespace, as in a sandbox. With the process all goes that they made.
const childVar = "BERTH_TEST_SANDBOX"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // what needs root is skipped
	}
	if os.Getenv(childVar) != "" {
		if err := sandbox(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	for name, flags := range map[string]uintptr{"root": 0, "user namespace": unix.CLONE_NEWUSER} {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), childVar+"="+name)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | flags, Pdeathsig: unix.SIGKILL}
		if flags != 0 {
			ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
			cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
			cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		}
		if err := chroot.Thread(cmd.Run); err != nil {
			fmt.Fprintf(os.Stderr, "as %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// sandbox prepares what a sandbox has before the engine begins.
func sandbox() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), netlink.LinkSetUp(lo))
}

// Addresses of the sandbox's link to the world.
const (
	uplink = "100.64.0.2"
	world  = "100.64.0.1"
)

// lab is a sandbox with an uplink and a manager.
type lab struct {
	*network.Manager
	events *events.Bus
	o      network.Options
	world  *space
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	l := &lab{events: &events.Bus{}, world: newSpace(t)}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0", TxQLen: -1}, PeerName: "world0", PeerTxQLen: -1,
		PeerNamespace: netlink.NsFd(l.world.file.Fd()),
	}
	must(t, netlink.LinkAdd(pair))
	t.Cleanup(func() { must(t, netlink.LinkDel(pair)) })
	must(t, netlink.AddrAdd(pair, parseAddr(uplink+"/30")))
	must(t, netlink.LinkSetUp(pair))
	l.world.run(func() {
		peer, err := netlink.LinkByName("world0")
		must(t, err)
		must(t, netlink.AddrAdd(peer, parseAddr(world+"/30")))
		must(t, netlink.LinkSetUp(peer))
	})
	must(t, netlink.RouteReplace(&netlink.Route{LinkIndex: pair.Index, Gw: net.ParseIP(world)}))
	for _, in := range []func(func()){l.world.run, func(f func()) { f() }} {
		eventually(t, func() (wrong string) {
			in(func() {
				links, err := netlink.LinkList()
				must(t, err)
				for _, link := range links {
					if link.Type() == "veth" && link.Attrs().OperState != netlink.OperUp {
						wrong = link.Attrs().Name + " is not up"
					}
				}
			})
			return wrong
		})
	}
	eventually(t, func() string { // no packet is lost to a link that is still coming up
		if got := askFromHere(world + ":1"); got != "connection refused" {
			return "the world: " + got
		}
		return ""
	})
	dir := t.TempDir()
	l.o = network.Options{
		Dir: filepath.Join(dir, "disk"), RunDir: filepath.Join(dir, "run"), Events: l.events,
		DNS: []netip.Addr{netip.MustParseAddr("127.53.0.1")},
	}
	l.open(t)
	return l
}

// open makes the manager, and sees to it that nothing is left when it is closed.
func (l *lab) open(t testing.TB) {
	t.Helper()
	before := inventory(t)
	m, err := network.New(t.Context(), l.o)
	must(t, err)
	l.Manager = m
	t.Cleanup(func() {
		must(t, m.Close(t.Context()))
		eventually(t, func() string { return differ(before, inventory(t)) })
	})
}

// join lets a container join, with an ID that is made of its name.
func (l *lab) join(t testing.TB, name string, change ...func(*network.Join)) network.Joined {
	t.Helper()
	j := network.Join{ContainerID: identity(name), Name: name, Hostname: name}
	for _, c := range change {
		c(&j)
	}
	joined, err := l.Join(t.Context(), j)
	must(t, err)
	return joined
}

func (l *lab) leave(t testing.TB, name string) {
	t.Helper()
	must(t, l.Leave(t.Context(), identity(name)))
}

func identity(name string) string { return fmt.Sprintf("%x", name+strings.Repeat("-", 32))[:64] }

// space is a network namespace, and a thread in it that runs what the test wants to do there.
type space struct {
	do   chan func()
	file *os.File
}

func newSpace(t testing.TB) *space {
	t.Helper()
	return startSpace(t, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
}

// enter returns a thread in a container's namespace.
func enter(t testing.TB, j network.Joined) *space {
	t.Helper()
	return startSpace(t, func() error {
		f, err := os.Open(j.NetNS)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
	})
}

func startSpace(t testing.TB, begin func() error) *space {
	t.Helper()
	s := &space{do: make(chan func())}
	ready, gone := make(chan error, 1), make(chan struct{})
	var start func()
	start = func() {
		goruntime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // the process's first thread must stay as it is
			go start()
			<-gone
			goruntime.UnlockOSThread()
			return
		}
		defer close(gone)
		err := begin()
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		for f := range s.do {
			f()
		}
	}
	go start()
	t.Cleanup(func() {
		close(s.do)
		<-gone
		_ = s.file.Close()
	})
	must(t, <-ready)
	return s
}

func (s *space) run(f func()) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); f() }
	<-done
}

// serve answers each connection in the namespace with who it came from, and text.
func (s *space) serve(t testing.TB, address, text string) {
	t.Helper()
	var l net.Listener
	s.run(func() {
		var err error
		l, err = net.Listen("tcp", address)
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
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s %s\n", text, from)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// ask connects from the namespace and returns what is said.
func (s *space) ask(address string) (answer string) {
	s.run(func() { answer = askFromHere(address) })
	return answer
}

// askFromHere connects from the sandbox, or from where the thread is.
func askFromHere(address string) string {
	c, err := net.DialTimeout("tcp", address, 500*time.Millisecond)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return errno.Error()
		}
		return "no answer"
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "no answer"
	}
	return strings.TrimSpace(line)
}

// inventory counts all that may be forgotten to be taken back.
func inventory(t testing.TB) map[string]int {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	out := map[string]int{}
	for _, l := range links {
		out["interface "+l.Attrs().Name] = 1
	}
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTables()
	must(t, err)
	for _, table := range tables {
		out["table "+table.Name] = 1
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	out["mounts"] = strings.Count(string(mounts), "\n")
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") { // of Go's poller
			out["descriptors"]++
		}
	}
	out["goroutines"] = goruntime.NumGoroutine()
	return out
}

func differ(before, after map[string]int) string {
	var lines []string
	for k, n := range after {
		if n > before[k] {
			lines = append(lines, fmt.Sprintf("%s: %d, was %d", k, n, before[k]))
		}
	}
	return strings.Join(lines, "\n")
}

// eventually waits until what is wrong is nothing.
func eventually(t testing.TB, wrong func() string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	t.Error(last)
}

func parseAddr(s string) *netlink.Addr {
	a, err := netlink.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
