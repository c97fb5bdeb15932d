package network_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	networktypes "github.com/moby/moby/api/types/network"
	"github.com/vishvananda/netlink"

	"berth/runtime/engine/network"
)

func BenchmarkJoinLeave(b *testing.B) {
	l := newLab(b)
	l.join(b, "stays")
	for b.Loop() {
		l.join(b, "comes")
		l.leave(b, "comes")
	}
}

func BenchmarkJoinLeavePublished(b *testing.B) {
	l := newLab(b)
	for b.Loop() {
		l.join(b, "comes", publish("80/tcp", "8080"))
		l.leave(b, "comes")
	}
}

func BenchmarkJoin20(b *testing.B) {
	l := newLab(b)
	for b.Loop() {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { l.join(b, "c"+strconv.Itoa(i)) })
		}
		all.Wait()
		b.StopTimer()
		for i := range 20 {
			l.leave(b, "c"+strconv.Itoa(i))
		}
		b.StartTimer()
	}
}

// TestCycles leaves nothing: newLab compares.
func TestCycles(t *testing.T) {
	l := newLab(t)
	n := 200
	if testing.Short() {
		n = 20
	}
	begin := time.Now()
	for range n {
		l.join(t, "web", publish("80/tcp", "8080"))
		l.leave(t, "web")
	}
	t.Logf("%v each", time.Since(begin)/time.Duration(n))
}

func publish(container, host string) func(*network.Join) {
	return func(j *network.Join) {
		j.Ports = networktypes.PortMap{networktypes.MustParsePort(container): {{HostPort: host}}}
	}
}

func BenchmarkJoinNamed(b *testing.B) {
	l := newLab(b)
	l.create(b, "app")
	for b.Loop() {
		l.join(b, "comes", in("app", nil))
		b.StopTimer()
		l.leave(b, "comes")
		b.StartTimer()
	}
}

// TestFlushedRules is a visitor who flushes all rules: the next container has its ports again, and so have the others.
func TestFlushedRules(t *testing.T) {
	l := newLab(t)
	one := enter(t, l.join(t, "one", publish("80/tcp", "8080")))
	one.serve(t, ":80", "one")
	c, err := nftables.New()
	must(t, err)
	c.FlushRuleset()
	must(t, c.Flush())
	two := enter(t, l.join(t, "two", publish("80/tcp", "8081")))
	two.serve(t, ":80", "two")
	l.world.serve(t, ":80", "world")
	for _, c := range []struct{ got, want string }{
		{askFromHere(uplink + ":8080"), "one " + uplink},
		{askFromHere(uplink + ":8081"), "two " + uplink},
		{one.ask(world + ":80"), "world " + uplink},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	c.FlushRuleset()
	must(t, c.Flush())
	l.leave(t, "one") // nothing of its own is left to remove
}

func TestMTU(t *testing.T) {
	l := newLab(t)
	eth0, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.LinkSetMTU(eth0, 1400))
	l.create(t, "small", option("com.docker.network.driver.mtu", "1300"))
	for _, c := range []struct {
		mode string
		want int
	}{{"bridge", 1400}, {"small", 1300}} {
		enter(t, l.join(t, "one", in(c.mode, nil))).run(func() {
			link, err := netlink.LinkByName("eth0")
			must(t, err)
			if link.Attrs().MTU != c.want {
				t.Errorf("%s: %d", c.mode, link.Attrs().MTU)
			}
		})
		l.leave(t, "one")
	}
}

func TestSameAddressAgain(t *testing.T) {
	l := newLab(t)
	l.join(t, "other")
	for range 5 {
		if e := l.join(t, "web").Endpoints["bridge"]; e.IPAddress.String() != "172.17.0.3" {
			t.Error(e.IPAddress)
		}
		l.leave(t, "web")
	}
}
