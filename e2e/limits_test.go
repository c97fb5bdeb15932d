package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// TestBombs lets a session meet each of its limits while a neighbour types.
func TestBombs(t *testing.T) {
	s := serve(t)
	bombed, neighbour := s.open("debian"), s.open("busybox")
	notices := bombed.watch()
	quiet := keystrokes(t, "without bombs", neighbour.typing(50))
	typing := neighbour.typing(math.MaxInt)
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
	// Machines of tests are noisy: the strict figure is the benchmark's.
	if p99 := keystrokes(t, "beside bombs", typing); p99 > max(time.Second, 10*quiet) {
		t.Errorf("a keystroke of the neighbour takes %s at p99, %s without bombs", p99, quiet)
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

// typing types n keys, or as many as are possible before the function is called that it returns. That tells how long each
// echo took.
func (s *session) typing(n int) func() ([]time.Duration, error) {
	s.t.Helper()
	shell := s.terminal("typing")
	shell.types("\r")
	shell.until("#")
	ctx, cancel := context.WithCancel(s.t.Context())
	var times []time.Duration
	failed, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			key := string(rune('a' + i%26))
			shell.forget()
			began := time.Now()
			err := shell.Type(ctx, []byte(key))
			if err == nil {
				err = shell.read(ctx, patience, func() bool { return strings.Contains(shell.output.String(), key) })
			}
			if err != nil {
				failed <- err
				return
			}
			times = append(times, time.Since(began))
			if i%40 == 39 {
				_ = shell.Type(ctx, []byte{'u' & 0x1f}) // ctrl-U: an empty line again
			}
			select {
			case <-time.After(25 * time.Millisecond): // as fast as nobody types
			case <-ctx.Done():
			}
		}
		failed <- nil
	}()
	s.t.Cleanup(func() { cancel(); <-done })
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
