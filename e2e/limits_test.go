package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"berth/quotas"
	"berth/sessions"
)

// What p99 of a neighbour's keystroke may be beside bombs. 100 ms are promised, of a machine that does nothing else. One that
// also runs other tests can keep anybody waiting: beside the neighbour somebody types into a shell on a PTY of the host,
// without Berth, and only where that one's p99 shows that the machine was free is the promise held against Berth. What
// holds always is the bound that a sandbox without its limits would break.
const (
	promised   = 100 * time.Millisecond
	freeWithin = 15 * time.Millisecond // p99 of the bare PTY; beside other builds on two cores it was 550 ms, and Berth's 620 ms
	always     = time.Second
)

// TestBombs lets a session meet each of its limits while a neighbour types.
func TestBombs(t *testing.T) {
	s := serve(t)
	bombed, neighbour := s.open("debian"), s.open("busybox")
	notices := bombed.watch()
	quiet := keystrokes(t, "without bombs", neighbour.typing(50))
	typing, bareTyping := neighbour.typing(math.MaxInt), typing(t, math.MaxInt, bareShell(t))
	shell := bombed.terminal("1")
	for _, bomb := range []struct {
		kind, command, shows string // shows: what the program says that meets the limit
		mend                 string
	}{
		{"pids", ":(){ :|:& };:", "Resource temporarily unavailable", "kill -9 -1"},
		{"memory", "tail /dev/zero", "Killed", ""},
		{"disk", "dd if=/dev/zero of=/big bs=1M", "No space left on device", "rm /big"},
		{"inodes", "mkdir /many; for i in $(seq 1000000); do true > /many/$i || break; done", "No space left on device", "rm -r /many"},
	} {
		shell.forget()
		shell.types(bomb.command + "\r")
		shell.until(bomb.shows)
		t.Logf("%s: %s", bomb.kind, notices.await(t, bomb.kind).Message)
		another := s.open("busybox")
		if got := another.sh("echo lives").Stdout; got != "lives\n" {
			t.Errorf("%s: a new session says %q", bomb.kind, got)
		}
		must(t, another.End(t.Context(), another.id))
		shell.types(bomb.mend + "\r")
		shell.forget()
		shell.types("echo usable-$((40+2))\r")
		shell.until("usable-42")
	}
	p99, bare := keystrokes(t, "beside bombs", typing), keystrokes(t, "beside bombs, without Berth", bareTyping)
	limit := max(always, 10*quiet)
	if bare <= freeWithin {
		limit = promised
	}
	if p99 > limit {
		t.Errorf("a keystroke of the neighbour takes %s at p99, %s without bombs, %s without Berth; want %s", p99, quiet, bare, limit)
	}
	if got := bombed.sh("echo lives; df -i / | awk 'NR==2 { print ($4 > 0) }'"); got.Stdout != "lives\n1\n" {
		t.Errorf("the session that was bombed says %+v", got)
	}
	for _, box := range []*session{bombed, neighbour} {
		must(t, box.End(t.Context(), box.id))
	}
	s.wantNothingLeft()
}

// keystrokes stops who types and returns p99 of how long an echo took.
func keystrokes(t *testing.T, when string, typing func() ([]time.Duration, error)) time.Duration {
	t.Helper()
	times, err := typing()
	must(t, err)
	slices.Sort(times)
	p99 := times[len(times)*99/100]
	t.Logf("%s: %d keystrokes, p50 %s, p99 %s, slowest %s", when, len(times), times[len(times)/2], p99, times[len(times)-1])
	return p99
}

// typing types n keys into a terminal of the session's own.
func (s *session) typing(n int) func() ([]time.Duration, error) {
	s.t.Helper()
	shell := s.terminal("typing")
	shell.types("\r")
	shell.until("#")
	return typing(s.t, n, func(ctx context.Context, key string) error {
		shell.forget()
		if err := shell.Type(ctx, []byte(key)); err != nil || key == eraseLine {
			return err
		}
		return shell.read(ctx, patience, func() bool { return strings.Contains(shell.output.String(), key) })
	})
}

// bareShell is a shell on a PTY of the host, typed into directly.
func bareShell(t *testing.T) func(ctx context.Context, key string) error {
	t.Helper()
	cmd := exec.Command("bash", "--norc")
	cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb")
	tty, err := pty.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		_ = tty.Close()
	})
	buf := make([]byte, 4<<10)
	return func(_ context.Context, key string) error {
		_, err := tty.WriteString(key)
		for n := 0; err == nil && key != eraseLine && !strings.Contains(string(buf[:n]), key); {
			n, err = tty.Read(buf)
		}
		return err
	}
}

const eraseLine = "\x15" // ctrl-U

// typing types n keys, or as many as are possible before the function is called that it returns. That tells how long each
// echo took. stroke returns when the key is shown, or at once for eraseLine.
func typing(t *testing.T, n int, stroke func(ctx context.Context, key string) error) func() ([]time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var times []time.Duration
	failed, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			began := time.Now()
			if err := stroke(ctx, string(rune('a'+i%26))); err != nil {
				failed <- err
				return
			}
			times = append(times, time.Since(began))
			if i%40 == 39 {
				_ = stroke(ctx, eraseLine)
			}
			select {
			case <-time.After(25 * time.Millisecond): // as fast as nobody types
			case <-ctx.Done():
				failed <- nil
				return
			}
		}
		failed <- nil
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() ([]time.Duration, error) {
		if n == math.MaxInt {
			cancel()
		}
		err := <-failed
		if errors.Is(err, context.Canceled) && len(times) > 0 {
			err = nil
		}
		return times, err
	}
}

// notices are what a session was told, by kind, and what it used last.
type notices struct {
	mu   sync.Mutex
	told map[string]sessions.Notice
	used quotas.Usage
	err  error
}

// watch collects a session's events to its end, or the test's.
func (s *session) watch() *notices {
	n := &notices{told: map[string]sessions.Notice{}}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	go func() {
		defer close(done)
		for e, err := range s.Events(ctx, s.id) {
			n.mu.Lock()
			switch {
			case err != nil:
				n.err = err
			case e.Notice != nil:
				n.told[e.Notice.Kind] = *e.Notice
			case e.Usage != nil:
				n.used = *e.Usage
			}
			n.mu.Unlock()
		}
	}()
	s.t.Cleanup(func() { cancel(); <-done })
	return n
}

func (n *notices) await(t *testing.T, kind string) sessions.Notice {
	t.Helper()
	var found sessions.Notice
	eventually(t, patience, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		notice, ok := n.told[kind]
		if !ok {
			return fmt.Errorf("no notice about %s; told: %v, error: %w", kind, n.told, n.err)
		}
		found = notice
		return nil
	})
	return found
}
