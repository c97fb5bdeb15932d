package stdio_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/runtime/engine/stdio"
)

// TestShortOutputIsDeliveredWhole checks a thousand processes that write a word and end: each client that was there before
// the start, and each log, has it.
func TestShortOutputIsDeliveredWhole(t *testing.T) {
	for i := range 1000 {
		dir, log := openLog(t, stdio.LogConfig{})
		h := stdio.NewHub(stdio.HubOptions{})
		var out, errs buffer
		a := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: &out, Stderr: &errs})
		theirs, ours := newPipes(t)
		ours.Log = log
		if err := h.Start(ours); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(theirs.stdout, "hello %d", i)
		fmt.Fprintf(theirs.stderr, "error %d\n", i)
		theirs.close()
		h.Drain(t.Context())
		if err := a.wait(t); err != nil {
			t.Fatal(err)
		}
		if out.String() != fmt.Sprintf("hello %d", i) || errs.String() != fmt.Sprintf("error %d\n", i) {
			t.Fatalf("run %d: %q and %q", i, &out, &errs)
		}
		if got := readLog(t, dir, everything()); len(got) != len(out.String())+len(errs.String()) {
			t.Fatalf("run %d: the log holds %q", i, got)
		}
	}
}

// TestLargeInputComesBackUnchanged sends 100 MB through a process.
func TestLargeInputComesBackUnchanged(t *testing.T) {
	const size = 100e6
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
	sent, got := sha256.New(), sha256.New()
	random := rand.NewChaCha8([32]byte{1})
	a := attach(t.Context(), t, h, stdio.AttachOptions{
		Stdin: io.TeeReader(io.LimitReader(random, size), sent), Stdout: got,
	})
	start(t, h, nil, "cat")
	if err := a.wait(t); err != nil {
		t.Fatal(err)
	}
	if s, g := fmt.Sprintf("%x", sent.Sum(nil)), fmt.Sprintf("%x", got.Sum(nil)); s != g {
		t.Errorf("sent %s, got %s", s, g)
	}
}

// TestStalledClientStopsTheProcessOnly checks that a client that takes nothing makes its own process wait, with no more than
// 64 KiB held for it, that another container does not notice, and that nothing is lost when it goes on.
func TestStalledClientStopsTheProcessOnly(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{})
	slow := newStalled()
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: slow})
	theirs, ours := newPipes(t)
	dir, log := openLog(t, stdio.LogConfig{})
	ours.Log = log
	if err := h.Start(ours); err != nil {
		t.Fatal(err)
	}
	var written atomic.Int64
	wrote := make(chan struct{})
	const lines = 50_000
	go func() {
		defer close(wrote)
		for i := range lines {
			n, err := fmt.Fprintf(theirs.stdout, "line %06d\n", i)
			if err != nil {
				t.Error(err)
			}
			written.Add(int64(n))
		}
		theirs.close()
	}()
	soon(t, "the first write to the client", slow.begun)
	other := stdio.NewHub(stdio.HubOptions{})
	var out buffer
	b := attach(t.Context(), t, other, stdio.AttachOptions{Stdout: &out})
	start(t, other, nil, "echo", "not me")
	if err := b.wait(t); err != nil || out.String() != "not me\n" {
		t.Errorf("the other container: %q, %v", &out, err)
	}
	const most = 64<<10 /* the pipe's */ + 64<<10 /* the client's */ + 32<<10 /* in the hub's hands */
	if n := settled(&written); n > most {
		t.Errorf("the process has written %d bytes, want at most %d", n, most)
	}
	close(slow.release)
	soon(t, "the process's end", wrote)
	h.Drain(t.Context())
	if err := a.wait(t); err != nil {
		t.Error(err)
	}
	want := int(written.Load())
	if got := slow.String(); len(got) != want || !strings.HasSuffix(got, fmt.Sprintf("line %06d\n", lines-1)) {
		t.Errorf("the client has %d bytes of %d", len(got), want)
	}
	if got := readLog(t, dir, everything()); got != slow.String() {
		t.Errorf("the log has %d bytes of %d", len(got), want)
	}
}

// settled waits until a count does not change.
func settled(n *atomic.Int64) int64 {
	for last := int64(-1); ; {
		now := n.Load()
		if now == last {
			return now
		}
		last = now
		<-time.After(50 * time.Millisecond)
	}
}

// TestStalledClientHoldsUpNoEnd checks that a process which has ended is over, and its log complete, though a client has
// still to take its last output, and that the client then gets it.
func TestStalledClientHoldsUpNoEnd(t *testing.T) {
	dir, log := openLog(t, stdio.LogConfig{})
	h := stdio.NewHub(stdio.HubOptions{})
	slow := newStalled()
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: slow})
	const size = 90_000 // more than is held for a client while the process runs
	p := start(t, h, log, "sh", "-c", fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", size))
	soon(t, "the end", p.ended)
	if got := readLog(t, dir, everything()); len(got) != size {
		t.Errorf("the log holds %d bytes, want %d", len(got), size)
	}
	close(slow.release)
	if err := a.wait(t); err != nil || len(slow.String()) != size {
		t.Errorf("the client has %d bytes, %v", len(slow.String()), err)
	}
}

// TestClientThatHasGoneIsDropped checks that a client whose connection is broken does not make the process wait.
func TestClientThatHasGoneIsDropped(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{})
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: broken{}})
	slow := newStalled()
	ctx, cancel := context.WithCancel(t.Context())
	b := attach(ctx, t, h, stdio.AttachOptions{Stdout: slow, Interrupt: func() { close(slow.release) }})
	p := start(t, h, nil, "head", "-c", "1000000", "/dev/zero")
	wantIs(t, a.wait(t), io.ErrClosedPipe)
	soon(t, "the first write to the other client", slow.begun)
	cancel()
	wantIs(t, b.wait(t), context.Canceled)
	soon(t, "the end", p.ended)
}

// TestChildThatKeepsTheOutputDelaysTheEndByABound checks a process whose child stays in the background.
func TestChildThatKeepsTheOutputDelaysTheEndByABound(t *testing.T) {
	for name, script := range map[string]string{
		"silent": `sleep 1000 & echo $! hello`,
		"noisy":  `yes >&2 & echo $! hello`,
	} {
		t.Run(name, func(t *testing.T) {
			h := stdio.NewHub(stdio.HubOptions{})
			var out buffer
			a := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: &out, Stderr: io.Discard})
			began := time.Now()
			p := start(t, h, nil, "sh", "-c", script)
			soon(t, "the end", p.ended)
			if d := time.Since(began); d > 2*stdio.DrainTimeout {
				t.Errorf("the end came after %v", d)
			}
			var pid int
			var word string
			if _, err := fmt.Sscan(out.String(), &pid, &word); err != nil || word != "hello" {
				t.Fatalf("%q, %v", &out, err)
			}
			child, err := os.FindProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			_ = child.Kill() // yes has ended: its output is closed
			if err := a.wait(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHubThatNeverStartsEnds checks a container that is removed before it was started.
func TestHubThatNeverStartsEnds(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true})
	in, typed := io.Pipe()
	a := attach(t.Context(), t, h, stdio.AttachOptions{
		Stdin: in, Stdout: io.Discard, Interrupt: func() { _ = typed.Close() },
	})
	h.Close()
	if err := a.wait(t); err != nil {
		t.Error(err)
	}
	theirs, ours := newPipes(t)
	wantIs(t, h.Start(ours), stdio.ErrOver)
	theirs.close()
	soon(t, "done", h.Done())
}

// TestFirstResizeIsNotLost checks that a size said before the start is the terminal's.
func TestFirstResizeIsNotLost(t *testing.T) {
	var got [2]uint
	h := stdio.NewHub(stdio.HubOptions{TTY: true})
	if err := h.Resize(132, 43); err != nil {
		t.Fatal(err)
	}
	theirs, ours := newPipes(t)
	ours.Stderr.Close()
	ours.Stderr = nil
	ours.Resize = func(width, height uint) error {
		got = [2]uint{width, height}
		return nil
	}
	if err := h.Start(ours); err != nil {
		t.Fatal(err)
	}
	if got != [2]uint{132, 43} {
		t.Errorf("size %v", got)
	}
	if err := h.Resize(80, 24); err != nil || got != [2]uint{80, 24} {
		t.Errorf("size %v, %v", got, err)
	}
	theirs.close()
	h.Drain(t.Context())
}

// TestNothingIsLeftBehind counts goroutines and descriptors.
func TestNothingIsLeftBehind(t *testing.T) {
	run := func() {
		dir, log := openLog(t, stdio.LogConfig{})
		h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
		a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: strings.NewReader("hello"), Stdout: io.Discard, Replay: true})
		b := attach(t.Context(), t, h, stdio.AttachOptions{Stdout: broken{}, Stderr: broken{}})
		p := start(t, h, log, "cat")
		soon(t, "the end", p.ended)
		_, _ = a.wait(t), b.wait(t)
		readLog(t, dir, everything())
	}
	run()
	goroutines, fds := runtime.NumGoroutine(), openFiles(t)
	for range 20 {
		run()
	}
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if g, f := runtime.NumGoroutine(), openFiles(t); g > goroutines || f > fds {
		t.Errorf("%d goroutines were %d, %d descriptors were %d", g, goroutines, f, fds)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
