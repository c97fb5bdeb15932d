package terminal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

// BenchmarkThroughput compares a program's output as seen by a client with the same PTY read directly.
func BenchmarkThroughput(b *testing.B) {
	const total = 64 << 20
	script := fmt.Sprintf("stty -opost -echo; read x; head -c %d /dev/zero", total)
	for b.Loop() {
		direct := readDirectly(b, script, total)
		_, url := serve(b, terminaltest.Shell(script), terminal.Options{})
		s := dial(b, url+"1", terminal.ClientOptions{})
		s.await(terminal.Hello)
		s.typeText("\n")
		n, began := 0, time.Now()
		for n < total {
			e, err := s.Next(s.ctx)
			if err != nil {
				b.Fatal(err)
			}
			n += len(e.Output)
		}
		ours := float64(total) / time.Since(began).Seconds()
		b.ReportMetric(ours/1e6, "MB/s")
		b.ReportMetric(direct/1e6, "direct-MB/s")
		b.ReportMetric(ours/direct, "ratio")
	}
}

func readDirectly(b *testing.B, script string, total int) float64 {
	b.Helper()
	p, err := terminaltest.Shell(script)(context.Background(), "1", terminal.DefaultSize)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.PTY().Close(); p.Wait() }()
	_, _ = io.WriteString(p.PTY(), "\n")
	buf := make([]byte, 64<<10)
	began := time.Now()
	for n := 0; n < total; {
		m, err := p.PTY().Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		n += m
	}
	return float64(total) / time.Since(began).Seconds()
}

// BenchmarkEcho is the time from a keystroke to its echo, over a websocket on TCP.
func BenchmarkEcho(b *testing.B) {
	_, url := serve(b, terminaltest.Shell("stty raw -echo; printf ready; exec cat"), terminal.Options{})
	s := dial(b, url+"1", terminal.ClientOptions{})
	s.until("ready")
	var took []time.Duration
	for b.Loop() {
		have, began := s.output.Len(), time.Now()
		s.typeText("k")
		for s.output.Len() == have {
			s.step()
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkIdleMemory is what one idle terminal holds, stacks included: with one viewer, whose client is counted too,
// and with none.
func BenchmarkIdleMemory(b *testing.B) {
	const n = 50
	for b.Loop() {
		set := terminal.NewSet(context.Background(), terminaltest.Shell("printf prompt; cat"), terminal.Options{MaxTerminals: n})
		mux := http.NewServeMux()
		set.Routes(mux, "/v1")
		server := httptest.NewServer(mux)
		before := memory()
		var screens []*screen
		for i := range n {
			s := dial(b, fmt.Sprintf("%s/v1/terminals/%d", server.URL, i), terminal.ClientOptions{})
			s.until("prompt")
			screens = append(screens, s)
		}
		both := memory() - before
		b.ReportMetric(float64(both)/n/1024, "KiB/terminal+client")
		for _, s := range screens {
			_ = s.Close()
		}
		eventually(b, func() error {
			for _, i := range set.List() {
				if i.Viewers > 0 {
					return io.ErrNoProgress
				}
			}
			return nil
		})
		b.ReportMetric(float64(memory()-before)/n/1024, "KiB/unwatched")
		if err := set.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		server.Close()
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
