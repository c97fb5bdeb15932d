package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"berth/sessions"
)

// TestExpiry lets a session's time run out.
func TestExpiry(t *testing.T) {
	s := serve(t)
	const lifetime = 20 * time.Second
	box, err := s.tryOpen(t.Context(), "debian", lifetime)
	must(t, err)
	if left := s.corner.Remnants(t); len(left) < 8 {
		t.Errorf("a session that runs is seen by %q only: the check for remnants checks nothing", left)
	}
	told := box.watch()
	box.terminal("1").types("echo busy\r")
	ready, err := box.Get(t.Context(), box.id)
	must(t, err)
	t.Log("warned:", told.await(t, "expiring").Message)
	var ended sessions.Session
	eventually(t, patience, func() error {
		now, err := box.Get(t.Context(), box.id)
		if ended = now.Session; err == nil && ended.State != sessions.Ended {
			err = fmt.Errorf("state %s", ended.State)
		}
		return err
	})
	if ended.Reason != sessions.Expired || !strings.Contains(ended.Message, "time") {
		t.Errorf("ended by %q, told %q", ended.Reason, ended.Message)
	}
	if late := ended.EndedAt.Sub(ready.ExpiresAt); late < 0 || late > 5*time.Second {
		t.Errorf("ended %s after the time was up", late)
	}
	page := s.page(t, "/s/"+string(box.id), box.token)
	if !strings.Contains(page, "Time is up") || !strings.Contains(page, ended.Message) {
		t.Errorf("the page does not tell why: %s", page)
	}
	s.wantNothingLeft()
}

// page is a page as the owner's browser gets it.
func (s *server) page(t *testing.T, path, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	must(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Accept", "text/html")
	answer, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(body)
}

// cycles is how many sessions TestManySessionsLeaveNothing makes; BERTH_CYCLES changes it.
const cycles = 200

// TestManySessionsLeaveNothing makes and ends many sessions: the machine and the server hold as much afterwards as before.
func TestManySessionsLeaveNothing(t *testing.T) {
	n := cycles
	if text := os.Getenv("BERTH_CYCLES"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		must(t, err)
	}
	s := serve(t)
	const atOnce = 4
	cycle := func(ctx context.Context) error {
		box, err := s.tryOpen(ctx, "busybox", 0)
		if err != nil {
			return err
		}
		return box.End(ctx, box.id)
	}
	run := func(n int) {
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(atOnce)
		for range n {
			group.Go(func() error { return cycle(ctx) })
		}
		must(t, group.Wait())
		s.wantNothingLeft()
	}
	run(2 * atOnce) // what is made once for all is made
	before := s.settled(t, nil)
	began := time.Now()
	run(n)
	t.Logf("%d sessions in %s", n, time.Since(began))
	after := s.settled(t, before)
	t.Logf("descriptors %v → %v, goroutines %v → %v", before[openFDs], after[openFDs], before[goroutines], after[goroutines])
}

const (
	openFDs    = "process_open_fds"
	goroutines = "go_goroutines"
)

// settled reads what the server holds, once it is no more than before, or the same twice.
func (s *server) settled(t *testing.T, before map[string]float64) map[string]float64 {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	var last map[string]float64
	eventually(t, patience, func() error {
		now := s.metrics(t)
		previous := last
		last = now
		for _, name := range []string{openFDs, goroutines} {
			limit, ok := before[name]
			if before == nil {
				limit, ok = previous[name], previous != nil
			}
			if !ok || now[name] > limit {
				return fmt.Errorf("%s is %v, was %v", name, now[name], limit)
			}
		}
		return nil
	})
	return last
}

func (s *server) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(s.page(t, "/metrics", "")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	if values[openFDs] == 0 || values[goroutines] == 0 {
		t.Fatalf("the metrics lack %s or %s", openFDs, goroutines)
	}
	return values
}

// TestEndOfTheServer ends servers that hold sessions.
func TestEndOfTheServer(t *testing.T) {
	s := newServer(t, environments)
	s.args = []string{"--on-exit=keep"}
	s.start()
	box := s.open("busybox")
	if got := box.sh("echo kept > /root/file").ExitCode; got != 0 {
		t.Fatalf("exit %d", got)
	}
	held := s.corner.Remnants(t)
	must(t, s.end(unix.SIGTERM))
	if left := s.corner.Remnants(t); len(left) != len(held) {
		t.Errorf("--on-exit=keep: %d things before, %d after: %q", len(held), len(left), left)
	}
	s.args = []string{"--on-exit=end"}
	s.start()
	again := &session{Client: s.client(box.token), t: t, id: box.id}
	if got := again.sh("cat /root/file").Stdout; got != "kept\n" {
		t.Errorf("after a restart the file holds %q", got)
	}
	s.open("debian")
	must(t, s.end(unix.SIGTERM))
	if left := s.corner.Remnants(t); len(left) > 0 {
		t.Errorf("--on-exit=end leaves %q", left)
	}
	s.start()
	ended, err := s.client(box.token).Get(t.Context(), box.id)
	if must(t, err); ended.State != sessions.Ended || ended.Reason != sessions.Admin {
		t.Errorf("the session is %s by %q, want ended by the operator", ended.State, ended.Reason)
	}
}
