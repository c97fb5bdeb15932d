package terminal_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

// cutter is a TCP proxy whose connections are cut after a random number of bytes, in the middle of anything.
type cutter struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup
	mu       sync.Mutex
	rnd      *rand.Rand
	cuts     int
	calm     bool
}

func newCutter(t *testing.T, url string) (*cutter, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	c := &cutter{listener: l, target: host, rnd: rand.New(rand.NewPCG(7, 7))}
	c.work.Go(c.accept)
	t.Cleanup(func() { _ = l.Close(); c.work.Wait() })
	return c, "http://" + l.Addr().String() + "/" + path
}

func (c *cutter) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.copy(near, far)
		c.copy(far, near)
	}
}

// copy passes on a number of bytes and then breaks the connection, one byte into whatever comes next.
func (c *cutter) copy(from, to net.Conn) {
	c.mu.Lock()
	limit := c.rnd.Int64N(60_000) + 200
	if c.calm {
		limit = 1 << 40
	}
	c.mu.Unlock()
	c.work.Go(func() {
		_, err := io.CopyN(to, from, limit)
		_, _ = to.Close(), from.Close()
		if err == nil {
			c.mu.Lock()
			c.cuts++
			c.mu.Unlock()
		}
	})
}

func TestCutsLoseAndRepeatNothing(t *testing.T) {
	const total = 512 << 10
	_, url := serve(t, terminaltest.Shell(`stty raw -echo; printf '!'; exec cat`), terminal.Options{})
	c, via := newCutter(t, url)
	s := dial(t, via+"1", terminal.ClientOptions{Dialer: &websocket.Dialer{HandshakeTimeout: 5 * time.Second}})
	s.until("!")
	typed := make([]byte, total)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range typed {
		typed[i] = byte(rnd.Uint32())
	}
	done := make(chan error, 1)
	go func() {
		for rest := typed; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(9000))
			if _, err := s.Write(rest[:n]); err != nil {
				done <- err
				return
			}
			rest = rest[n:]
		}
		done <- nil
	}()
	for s.output.Len() < total+1 {
		s.step()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.output.Bytes()[1:], typed) {
		t.Fatal("what came back is not what was typed")
	}
	c.mu.Lock()
	cuts := c.cuts
	c.mu.Unlock()
	if cuts < 20 || s.lost == 0 {
		t.Fatalf("only %d cuts, %d seen", cuts, s.lost)
	}
	t.Logf("%d cuts, %d connections lost", cuts, s.lost)
}

func TestSameClientReplacesItsOldConnection(t *testing.T) {
	_, url := serve(t, terminaltest.Shell(`stty -echo; printf ready; cat`), terminal.Options{})
	dial(t, url+"1", terminal.ClientOptions{}).until("ready")
	old := connect(t, url+"1?client=me")
	old.write(data(1, 0, "one\n"))
	awaitAck(t, old, 4)
	again := connect(t, url+"1?client=me")
	hello, err := again.receive()
	if err != nil || hello.Status == nil || hello.Status.Input != 4 {
		t.Fatalf("hello %+v, %v", hello.Status, err)
	}
	again.write(data(1, 0, "one\ntwo\n")) // the first half was applied already
	awaitAck(t, again, 8)
	for {
		if _, err = old.receive(); err != nil {
			break
		}
	}
	if !websocket.IsCloseError(err, terminal.CloseReplaced) {
		t.Fatalf("old connection: %v", err)
	}
	s := dial(t, url+"1", terminal.ClientOptions{})
	s.until("two")
	if n := strings.Count(s.output.String(), "one"); n != 1 {
		t.Fatalf("typed once, seen %d times: %q", n, s.output.String())
	}
}

func awaitAck(t *testing.T, w *wire, offset uint64) {
	t.Helper()
	for {
		f, err := w.receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Ack && f.Seq >= offset {
			return
		}
	}
}

func TestClientGivesUpWhenTheServerIsGone(t *testing.T) {
	_, url := serve(t, terminaltest.Command("cat"), terminal.Options{})
	c, via := newCutter(t, url)
	s := dial(t, via+"1", terminal.ClientOptions{GiveUp: 200 * time.Millisecond})
	s.await(terminal.Hello)
	_ = c.listener.Close()
	s.typeText(strings.Repeat("x\n", 20_000)) // the first cut is the last
	for {
		if _, err := s.Next(s.ctx); err != nil {
			if !strings.Contains(err.Error(), "gave up") {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestDeadPeerIsForgotten(t *testing.T) {
	set, url := serve(t, terminaltest.Command("cat"), terminal.Options{PingEvery: 20 * time.Millisecond})
	connect(t, url+"1") // never reads, so never answers a ping
	eventually(t, func() error {
		if n := set.List()[0].Viewers; n != 0 {
			return io.ErrNoProgress
		}
		return nil
	})
	alive := dial(t, url+"1", terminal.ClientOptions{})
	alive.await(terminal.Hello)
	deadline := time.After(300 * time.Millisecond)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if set.List()[0].Viewers != 1 {
				t.Fatal("a viewer that answers pings was dropped")
			}
		case <-deadline:
			return
		}
	}
}
