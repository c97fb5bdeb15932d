package network_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	networktypes "github.com/moby/moby/api/types/network"

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
