package network_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"berth/quotas"
)

const (
	bandwidth = 40e6 // bits per second
	settle    = 2 * time.Second
	measure   = 4 * time.Second
)

// TestBandwidthHolds moves bytes both ways over TCP and looks at the rate once the first burst is through.
func TestBandwidthHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	for name, upload := range map[string]bool{"download": false, "upload": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := newSandbox(t, openHost(t, "a", t.TempDir()), "one", quotas.Limits{Bandwidth: bandwidth})
			out, in := connect(t, w, s)
			if !upload {
				out, in = in, out
			}
			rate := flow(t, out, in)
			t.Logf("%.1f Mbit/s", rate/1e6)
			if rate > bandwidth*1.2 || rate < bandwidth*0.8 {
				t.Errorf("%.1f Mbit/s, want %.0f ± 20%%", rate/1e6, bandwidth/1e6)
			}
		})
	}
}

// connect returns both ends of a connection from the sandbox to the world.
func connect(t *testing.T, w *world, s *sandbox) (inside, outside net.Conn) {
	var l net.Listener
	var err error
	w.run(func() { l, err = net.Listen("tcp4", "9.9.9.9:443") })
	must(t, err)
	defer func() { _ = l.Close() }()
	s.run(func() { inside, err = net.DialTimeout("tcp4", "9.9.9.9:443", 5*time.Second) })
	must(t, err)
	outside, err = l.Accept()
	must(t, err)
	return inside, outside
}

// flow sends as fast as it goes and returns what arrives, in bits per second.
func flow(t *testing.T, from, to net.Conn) float64 {
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := from.Write(b); err != nil {
				return
			}
		}
	})
	defer wg.Wait()
	defer from.Close()
	defer to.Close()
	start := time.Now()
	n, elapsed := int64(0), time.Duration(0)
	var begin time.Time
	b := make([]byte, 64<<10)
	must(t, to.SetReadDeadline(start.Add(settle+measure+10*time.Second)))
	for elapsed < measure {
		k, err := to.Read(b)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		switch {
		case !begin.IsZero():
			n += int64(k)
			elapsed = time.Since(begin)
		case time.Since(start) > settle:
			begin = time.Now()
		}
	}
	return float64(n) * 8 / elapsed.Seconds()
}
