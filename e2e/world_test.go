package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	goruntime "runtime"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Addresses of the host and the world in TestEgress.
const (
	hostPublic = "5.5.5.1"
	worldLink  = "5.5.5.2"
	public     = "9.9.9.9"
)

// world is an internet of one machine behind an uplink of the tests' own network namespace. It has every address that a
// sandbox may or may not reach, and answers on all of them.
type world struct {
	mu   sync.Mutex
	seen map[string]int // connections, by the address that was asked for
}

// newWorld makes it with these addresses and TCP ports.
func newWorld(t *testing.T, addresses []string, ports ...int) *world {
	t.Helper()
	w := &world{seen: map[string]int{}}
	space, listeners := w.listen(t, ports)
	uplink := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "world0", PeerNamespace: netlink.NsFd(int(space))}
	must(t, netlink.LinkAdd(uplink))
	there, err := netlink.NewHandleAt(space)
	must(t, err)
	peer, err := there.LinkByName("world0")
	must(t, err)
	lo, err := there.LinkByName("lo")
	must(t, err)
	for _, a := range append([]string{worldLink + "/24"}, addresses...) {
		must(t, there.AddrAdd(peer, address(t, a)))
	}
	must(t, netlink.AddrAdd(uplink, address(t, hostPublic+"/24")))
	for _, up := range []func() error{
		func() error { return there.LinkSetUp(lo) },
		func() error { return there.LinkSetUp(peer) },
		func() error { return netlink.LinkSetUp(uplink) },
		func() error {
			return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(worldLink), LinkIndex: uplink.Index})
		},
	} {
		must(t, up())
	}
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { w.answer(l) })
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		serving.Wait()
		there.Close()
		must(t, netlink.LinkDel(uplink))
		must(t, space.Close())
	})
	return w
}

func address(t *testing.T, text string) *netlink.Addr {
	t.Helper()
	if _, _, err := net.ParseCIDR(text); err != nil {
		text += "/32"
	}
	a, err := netlink.ParseAddr(text)
	must(t, err)
	return a
}

// listen makes a network namespace and listeners in it.
func (w *world) listen(t *testing.T, ports []int) (netns.NsHandle, []net.Listener) {
	t.Helper()
	var space *os.File
	var listeners []net.Listener
	made := make(chan error)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread, spoilt for others, ends with the goroutine
		made <- func() (err error) {
			if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if space, err = os.Open("/proc/thread-self/ns/net"); err != nil {
				return err
			}
			for _, port := range ports {
				l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", port))
				if err != nil {
					return err
				}
				listeners = append(listeners, l)
			}
			return nil
		}()
	}()
	must(t, <-made)
	fd, err := unix.FcntlInt(space.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	must(t, space.Close())
	return netns.NsHandle(fd), listeners
}

// answer says hello to all who come.
func (w *world) answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.seen[c.LocalAddr().String()]++
		w.mu.Unlock()
		_, _ = io.WriteString(c, "hello\n")
		_ = c.Close()
	}
}

// connections returns how often each address was reached.
func (w *world) connections() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]int{}
	for address, n := range w.seen {
		all[address] = n
	}
	return all
}
