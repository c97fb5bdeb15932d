package terminal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/terminal"
)

// patience bounds every wait of the tests; it is only met when something is broken.
const patience = 20 * time.Second

// serve serves a set over TCP; at the test's end all of it goes and nothing may be left.
func serve(t testing.TB, start terminal.Start, o terminal.Options) (set *terminal.Set, url string) {
	t.Helper()
	checkLeaks(t)
	set = terminal.NewSet(context.Background(), start, o)
	mux := http.NewServeMux()
	set.Routes(mux, "/v1")
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := set.Close(ctx); err != nil {
			t.Errorf("close set: %v", err)
		}
		server.Close()
	})
	return set, server.URL + "/v1/terminals/"
}

// checkLeaks fails the test when goroutines or descriptors are left after all later cleanups.
func checkLeaks(t testing.TB) {
	t.Helper()
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGWINCH) // os/signal starts a goroutine that stays
	signal.Stop(c)
	goroutines, fds := runtime.NumGoroutine(), openFDs(t)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		eventually(t, func() error {
			if n := runtime.NumGoroutine(); n > goroutines {
				buf := make([]byte, 1<<20)
				return errors.New("goroutines left:\n" + string(buf[:runtime.Stack(buf, true)]))
			}
			if n := openFDs(t); n > fds {
				return errors.New("file descriptors left")
			}
			return nil
		})
	})
}

func openFDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually polls until check is content.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// screen is a client and what it has seen.
type screen struct {
	*terminal.Client
	t      testing.TB
	ctx    context.Context
	output bytes.Buffer
	status []terminal.Status
	lost   int
}

func dial(t testing.TB, url string, o terminal.ClientOptions) *screen {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	c, err := terminal.Dial(ctx, url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &screen{Client: c, t: t, ctx: ctx}
}

// step takes one event.
func (s *screen) step() {
	s.t.Helper()
	e, err := s.Next(s.ctx)
	switch {
	case err != nil:
		s.t.Fatalf("next: %v; seen so far: %.300q, %+v", err, s.output.String(), s.status)
	case e.Output != nil:
		s.output.Write(e.Output)
	case e.Status != nil:
		s.status = append(s.status, *e.Status)
	case e.Lost != nil:
		s.lost++
	}
}

// until reads until the output contains text.
func (s *screen) until(text string) {
	s.t.Helper()
	for !strings.Contains(s.output.String(), text) {
		s.step()
	}
}

// await reads until a status of this type comes, and returns it.
func (s *screen) await(typ terminal.StatusType) terminal.Status {
	s.t.Helper()
	for n := len(s.status); ; {
		for ; n < len(s.status); n++ {
			if s.status[n].Type == typ {
				return s.status[n]
			}
		}
		s.step()
	}
}

// awaitSize reads until the viewer is told this size.
func (s *screen) awaitSize(size terminal.Size) {
	s.t.Helper()
	for {
		if told := s.await(terminal.Resized); told.Cols == size.Cols && told.Rows == size.Rows {
			return
		}
	}
}

func (s *screen) typeText(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.Client, text); err != nil {
		s.t.Fatal(err)
	}
}

// lockedBuffer is a buffer that a test reads while others write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
