package terminal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

// wire speaks the protocol by hand.
type wire struct {
	*websocket.Conn
	t testing.TB
}

func connect(t testing.TB, url string) *wire {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{terminal.Subprotocol}}
	conn, answer, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &wire{conn, t}
}

func (w *wire) write(b []byte) {
	w.t.Helper()
	if err := w.WriteMessage(websocket.BinaryMessage, b); err != nil {
		w.t.Fatal(err)
	}
}

func data(typ byte, seq uint64, text string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{typ}, seq), text...)
}

func (w *wire) receive() (terminal.ServerFrame, error) {
	_, b, err := w.ReadMessage()
	if err != nil {
		return terminal.ServerFrame{}, err
	}
	f, err := terminal.DecodeServer(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return f, nil
}

// blocked waits until a process has slept for 50 ms without being woken once.
func blocked(t testing.TB, pid int64) {
	t.Helper()
	last, since := "", time.Now()
	eventually(t, func() error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		if now := string(status[bytes.Index(status, []byte("State:")):]); now != last || !strings.Contains(now, "S (sleeping)") {
			last, since = now, time.Now()
		}
		if time.Since(since) < 50*time.Millisecond {
			return fmt.Errorf("process %d is still at work", pid)
		}
		return nil
	})
}

func TestCtrlCActsWhileOutputStalls(t *testing.T) {
	var pid atomic.Int64
	_, url := serve(t, terminaltest.Watched(&pid, "yes"), terminal.Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := connect(t, url+"1?client=me")
	blocked(t, pid.Load())
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 3<<19 {
		t.Errorf("a stalled viewer costs %d bytes of heap", grown) // the other 512 KiB may be in the socket
	}
	began := time.Now()
	w.write(data(1, 0, "\x03"))
	// Nothing was read: the program ends all the same, though its last words wait for the viewer.
	eventually(t, func() error {
		if unix.Kill(int(pid.Load()), 0) == nil {
			return errors.New("the program runs on")
		}
		return nil
	})
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("ctrl-c took %s", took)
	}
	out, exit := w.drain(0)
	if exit.Signal != "SIGINT" || !strings.HasPrefix(out, "y\r\ny\r\n") || !strings.HasSuffix(out, "^C") {
		t.Fatalf("got exit %+v, %d bytes that end with %.60q", exit, len(out), out[max(0, len(out)-60):])
	}
	if len(out) > 1<<20 {
		t.Errorf("%d bytes were read while nobody took them", len(out))
	}
}

// drain reads and acknowledges output from seq on, without a hole, until the exit.
func (w *wire) drain(seq uint64) (string, terminal.Status) {
	w.t.Helper()
	var out []byte
	for {
		f, err := w.receive()
		switch {
		case err != nil:
			w.t.Fatalf("after %d bytes: %v", len(out), err)
		case f.Status != nil && f.Status.Type == terminal.Exited:
			return string(out), *f.Status
		case f.Data != nil:
			if f.Seq != seq+uint64(len(out)) {
				w.t.Fatalf("output %d came where %d was due", f.Seq, seq+uint64(len(out)))
			}
			out = append(out, f.Data...)
			w.write(data(3, seq+uint64(len(out)), ""))
		}
	}
}

func TestStalledViewerSlowsNobodyAndGetsAGap(t *testing.T) {
	const total = 8 << 20
	o := terminal.Options{RingBytes: 256 << 10, HighWatermark: 64 << 10}
	_, url := serve(t, terminaltest.Shell(fmt.Sprintf(`stty -opost -echo; read x; head -c %d /dev/zero; read x`, total)), o)
	slow := connect(t, url+"1?client=slow")
	fast := dial(t, url+"1", terminal.ClientOptions{})
	fast.typeText("go\n")
	for fast.output.Len() < total {
		fast.step()
	}
	seq, gaps := uint64(0), uint64(0)
	for seq < total {
		f, err := slow.receive()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Status != nil && f.Status.Type == terminal.Gap:
			if f.Status.From != seq || f.Status.To <= seq {
				t.Fatalf("gap %+v at %d", f.Status, seq)
			}
			gaps += f.Status.To - f.Status.From
			seq = f.Status.To
		case f.Data != nil:
			if f.Seq != seq {
				t.Fatalf("output %d came where %d was due", f.Seq, seq)
			}
			seq += uint64(len(f.Data))
			slow.write(data(3, seq, ""))
		}
	}
	if gaps < total/2 {
		t.Fatalf("only %d bytes in gaps: the ring holds 256 KiB", gaps)
	}
	for _, s := range fast.status {
		if s.Type == terminal.Gap {
			t.Fatalf("the fast viewer has a gap: %+v", s)
		}
	}
	fast.typeText("end\n")
	slow.drain(seq)
}

func TestNobodyWatchesAndTheProgramRunsOn(t *testing.T) {
	set, url := serve(t, terminaltest.Shell(`seq 1 300000; exit 2`), terminal.Options{})
	if _, err := set.Open(t.Context(), "1", terminal.Size{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if set.List()[0].Running {
			return errors.New("still running")
		}
		return nil
	})
	s := dial(t, url+"1", terminal.ClientOptions{})
	exit := s.await(terminal.Exited)
	if s.output.Len() != 1<<20 || !strings.HasSuffix(s.output.String(), "300000\r\n") || exit.Code != 2 {
		t.Fatalf("scrollback of %d bytes ends with %.20q", s.output.Len(), s.output.String()[s.output.Len()-20:])
	}
	if hello := s.status[0]; hello.From == 0 || hello.Next-hello.From != 1<<20 {
		t.Fatalf("hello %+v", hello)
	}
	zero := uint64(0)
	again := dial(t, url+"1", terminal.ClientOptions{After: &zero})
	if gap := again.await(terminal.Gap); gap.From != 0 || gap.To != s.status[0].From {
		t.Fatalf("gap %+v", gap)
	}
}

func TestInputToAProgramThatDoesNotRead(t *testing.T) {
	_, url := serve(t, terminaltest.Shell(`stty raw -echo; printf ready; read x </dev/zero; sleep 60`), terminal.Options{})
	w := connect(t, url+"1?client=w")
	block := strings.Repeat("x", 32<<10)
	for seq := 0; ; seq += len(block) {
		if err := w.WriteMessage(websocket.BinaryMessage, data(1, uint64(seq), block)); err != nil || seq > 16<<20 {
			break
		}
	}
	for {
		_, err := w.receive()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), "too far ahead") {
			t.Fatalf("closed with %v", err)
		}
		break
	}
	// A client that keeps the window waits, and its other messages are heard all the same.
	s := dial(t, url+"1", terminal.ClientOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Type(ctx, bytes.Repeat([]byte("y"), 1<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("typing 1 MiB into a program that does not read: %v", err)
	}
	other := dial(t, url+"1", terminal.ClientOptions{})
	other.await(terminal.Hello)
	if err := s.Resize(terminal.Size{Cols: 44, Rows: 22}); err != nil {
		t.Fatal(err)
	}
	other.awaitSize(terminal.Size{Cols: 44, Rows: 22})
}

func TestInputThatWaitedIsWrittenWhenTheProgramReads(t *testing.T) {
	const total = 1 << 20
	_, url := serve(t, terminaltest.Shell(fmt.Sprintf(`stty raw -echo; printf ready; sleep 0.3; head -c %d | sha256sum`, total)), terminal.Options{})
	s := dial(t, url+"1", terminal.ClientOptions{})
	s.until("ready")
	text := make([]byte, total)
	for i := range text {
		text[i] = byte(rand.Uint32())
	}
	go func() { _, _ = s.Write(text) }()
	s.until(fmt.Sprintf("%x", sha256.Sum256(text)))
}
