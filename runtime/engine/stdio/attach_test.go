package stdio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/creack/pty"

	"berth/runtime/engine/stdio"
)

// TestHalfCloseEndsTheInputOnly checks that a client's end of input is the process's, and that the output goes on.
func TestHalfCloseEndsTheInputOnly(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
	var out buffer
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: strings.NewReader("b\na\n"), Stdout: &out})
	start(t, h, nil, "sh", "-c", "sort; echo after")
	if err := a.wait(t); err != nil || out.String() != "a\nb\nafter\n" {
		t.Errorf("%q, %v", &out, err)
	}
}

// TestInputStaysOpenWithoutStdinOnce checks that the end of one client's input is not the process's: the client gets the
// answer and leaves, and the next one can go on typing. Docker's `run -d -i`.
func TestInputStaysOpenWithoutStdinOnce(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true})
	p := start(t, h, nil, "sh", "-c", "read a; echo got $a; read b; echo $a $b")
	var outs [2]buffer
	first := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: strings.NewReader("one\n"), Stdout: &outs[0]})
	if err := first.wait(t); err != nil || outs[0].String() != "got one\n" {
		t.Errorf("the first client: %q, %v", &outs[0], err)
	}
	in, typed := io.Pipe()
	second := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: in, Stdout: &outs[1], Interrupt: func() { _ = typed.Close() }})
	fmt.Fprintln(typed, "two")
	if err := second.wait(t); err != nil || outs[1].String() != "one two\n" {
		t.Errorf("the second client: %q, %v", &outs[1], err)
	}
	soon(t, "the end", p.ended)
}

// TestOutputGoesOnAfterTheInputOfATerminal checks a client that sends all it has to say at once, and waits for the rest.
func TestOutputGoesOnAfterTheInputOfATerminal(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true, TTY: true})
	var out buffer
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: strings.NewReader("one\n"), Stdout: &out})
	start(t, h, nil, "sh", "-c", "read a; sleep 1; echo $a")
	if err := a.wait(t); err != nil || out.String() != "one\n" {
		t.Errorf("%q, %v", &out, err)
	}
}

// TestProcessMayCloseItsOutputAndReadOn checks that its input goes on, and that the attach lasts as long as the process.
func TestProcessMayCloseItsOutputAndReadOn(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
	file := filepath.Join(t.TempDir(), "file")
	in, typed := io.Pipe()
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: in, Stdout: io.Discard})
	p := start(t, h, nil, "sh", "-c", `exec >&- 2>&-; cat >"$0"`, file)
	fmt.Fprintf(typed, "%s", strings.Repeat("hello\n", 50_000)) // more than the pipe takes: sh has begun to read
	select {
	case <-a.done:
		t.Error("the attach ended before the process")
	default:
	}
	_ = typed.Close()
	soon(t, "the end", p.ended)
	if err := a.wait(t); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 300_000 {
		t.Errorf("the process got %d bytes, %v", len(b), err)
	}
}

// TestInputOfAClientThatHasGoneArrives checks a client that sends and leaves at once.
func TestInputOfAClientThatHasGoneArrives(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
	gone := make(chan struct{})
	close(gone)
	dir, log := openLog(t, stdio.LogConfig{})
	a := attach(t.Context(), t, h, stdio.AttachOptions{
		Stdin: strings.NewReader(strings.Repeat("hello\n", 50_000)), Stdout: io.Discard, Gone: gone,
	})
	p := start(t, h, log, "wc", "-l")
	wantIs(t, a.wait(t), stdio.ErrGone)
	soon(t, "the end", p.ended)
	if got := readLog(t, dir, everything()); strings.TrimSpace(got) != "50000" {
		t.Errorf("the process got %q lines", got)
	}
}

// TestProcessThatReadsNothingHoldsUpNothing checks that input nobody takes neither keeps a client nor the end.
func TestProcessThatReadsNothingHoldsUpNothing(t *testing.T) {
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
	in, typed := io.Pipe()
	go func() { _, _ = io.Copy(typed, zeros{}) }() // until the client's end is closed
	var out buffer
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: in, Stdout: &out, Interrupt: func() { _ = in.Close() }})
	p := start(t, h, nil, "echo", "bye")
	if err := a.wait(t); err != nil || out.String() != "bye\n" {
		t.Errorf("%q, %v", &out, err)
	}
	soon(t, "the end", p.ended)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestDetachKeysLeaveATerminal checks the default keys and others, in one piece and byte by byte, and that without a
// terminal they are input as any other.
func TestDetachKeysLeaveATerminal(t *testing.T) {
	for name, tc := range map[string]struct {
		keys, typed string
		detached    bool
		want        string // what the process gets
	}{
		"default":             {"", "abc\x10\x11lost", true, "abc"},
		"half":                {"", "abc\x10d", false, "abc\x10d"},
		"half, at the end":    {"", "abc\x10", false, "abc\x10"},
		"half, twice":         {"", "a\x10\x10\x11", true, "a\x10"},
		"own":                 {"ctrl-a,x", "12\x10\x11\x01x", true, "12\x10\x11"},
		"one":                 {"ctrl-@", "12\x00", true, "12"},
		"DEL":                 {"DEL,DEL", "\x7f.\x7f\x7f", true, "\x7f."},
		"with themselves":     {"a,a,b", "aaab", true, "a"},
		"with themselves too": {"a,b,a,c", "ababac", true, "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := stdio.ParseDetachKeys(tc.keys)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 100} {
				h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, TTY: true})
				theirs, ours := newPipes(t)
				if err := h.Start(ours); err != nil {
					t.Fatal(err)
				}
				a := attach(t.Context(), t, h, stdio.AttachOptions{
					Stdin: pieces{strings.NewReader(tc.typed), size}, Stdout: io.Discard, DetachKeys: keys,
				})
				if tc.detached {
					wantIs(t, a.wait(t), stdio.ErrDetached)
				}
				got := make([]byte, len(tc.want))
				if _, err := io.ReadFull(theirs.stdin, got); err != nil || string(got) != tc.want {
					t.Errorf("in pieces of %d the process gets %q, %v", size, got, err)
				}
				theirs.stdout.Close()
				theirs.stderr.Close()
				h.Drain(t.Context())
				if err := a.wait(t); err != nil && !tc.detached {
					t.Error(err)
				}
				if got, err := io.ReadAll(theirs.stdin); err != nil || len(got) > 0 {
					t.Errorf("in pieces of %d the process gets also %q, %v", size, got, err)
				}
			}
		})
	}
	t.Run("not a terminal", func(t *testing.T) {
		h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true})
		var out buffer
		a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: strings.NewReader("a\x10\x11b"), Stdout: &out})
		start(t, h, nil, "cat")
		if err := a.wait(t); err != nil || out.String() != "a\x10\x11b" {
			t.Errorf("%q, %v", &out, err)
		}
	})
}

// pieces reads as many bytes at once.
type pieces struct {
	io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }

// TestDetachKeysThatNobodyHasAreRefused checks Docker's words.
func TestDetachKeysThatNobodyHasAreRefused(t *testing.T) {
	for _, keys := range []string{"ctrl-", "ctrl-1", "ctrl-ab", "shift-a", ",", "ctrl-p,,"} {
		_, err := stdio.ParseDetachKeys(keys)
		if !errdefs.IsInvalidArgument(err) || err.Error() != "Invalid detach keys ("+keys+") provided" {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

// TestTerminalIsOneStream checks a process on a real terminal: output, input, size, and its end (EIO).
func TestTerminalIsOneStream(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	h := stdio.NewHub(stdio.HubOptions{OpenStdin: true, StdinOnce: true, TTY: true})
	var out buffer
	in, typed := io.Pipe()
	a := attach(t.Context(), t, h, stdio.AttachOptions{Stdin: in, Stdout: &out, Interrupt: func() { _ = in.Close() }})
	if err := h.Resize(100, 30); err != nil {
		t.Fatal(err)
	}
	dir, log := openLog(t, stdio.LogConfig{})
	err = h.Start(stdio.Streams{Stdin: master, Stdout: master, Log: log, Resize: func(width, height uint) error {
		return pty.Setsize(master, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
	}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "stty size; stty -echo; echo ready; read word; echo got $word >&2")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	fmt.Fprintln(typed, "hello")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	h.Drain(t.Context())
	if err := a.wait(t); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "30 100\r\n") && !strings.Contains(got, "30 100\r\n") || !strings.HasSuffix(got, "got hello\r\n") {
		t.Errorf("output %q", got)
	}
	if got := readLog(t, dir, everything()); got != out.String() {
		t.Errorf("the log holds %q, the client has %q", got, &out)
	}
}

// TestReplayHasNoGap checks clients that come at any time and ask for the log first: each has all output, once.
func TestReplayHasNoGap(t *testing.T) {
	dir, log := openLog(t, stdio.LogConfig{MaxSize: -1})
	h := stdio.NewHub(stdio.HubOptions{LogDir: dir})
	p := start(t, h, log, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf end")
	var clients []*attachment
	var outs []*buffer
	for range 20 {
		out := &buffer{}
		outs = append(outs, out)
		clients = append(clients, attach(t.Context(), t, h, stdio.AttachOptions{Stdout: out, Stderr: out, Replay: true}))
	}
	soon(t, "the end", p.ended)
	want := readLog(t, dir, everything())
	if !strings.HasSuffix(want, "line 19999\nend") {
		t.Fatalf("the log ends %q", want[max(0, len(want)-20):])
	}
	for i, c := range clients {
		if err := c.wait(t); err != nil || outs[i].String() != want {
			t.Errorf("client %d has %d bytes of %d, %v", i, len(outs[i].String()), len(want), err)
		}
	}
	var late buffer
	if err := h.Attach(t.Context(), stdio.AttachOptions{Stdout: &late, Replay: true, NoStream: true}); err != nil || late.String() != want {
		t.Errorf("afterwards: %d bytes, %v", len(late.String()), err)
	}
}

// TestReplayHasLinesWithoutAnEnd checks what stands on a prompt's line.
func TestReplayHasLinesWithoutAnEnd(t *testing.T) {
	_, log := openLog(t, stdio.LogConfig{})
	h := stdio.NewHub(stdio.HubOptions{})
	var first buffer
	began := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := attach(ctx, t, h, stdio.AttachOptions{Stdout: signal{&first, began}})
	theirs, ours := newPipes(t)
	ours.Log = log
	if err := h.Start(ours); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(theirs.stdout, "name? ")
	soon(t, "the prompt", began)
	var out buffer
	if err := h.Attach(ctx, stdio.AttachOptions{Stdout: &out, Replay: true, NoStream: true}); err != nil || out.String() != "name? " {
		t.Errorf("%q, %v", &out, err)
	}
	theirs.close()
	h.Drain(ctx)
	if err := a.wait(t); err != nil {
		t.Error(err)
	}
}

// signal closes a channel at the first write.
type signal struct {
	io.Writer
	begun chan struct{}
}

func (s signal) Write(p []byte) (int, error) {
	select {
	case <-s.begun:
	default:
		defer close(s.begun)
	}
	return s.Writer.Write(p)
}

// FuzzDetachKeys checks that pieces do not matter, and that nothing but the keys is taken away.
func FuzzDetachKeys(f *testing.F) {
	f.Add([]byte("\x10\x11"), []byte("abc\x10\x10\x11rest"), 4)
	f.Add([]byte("aab"), []byte("aaab"), 1)
	f.Fuzz(func(t *testing.T, keys, typed []byte, at int) {
		at = min(max(at, 0), len(typed))
		whole, left := stdio.Filter(keys, typed)
		pieces, again := stdio.Filter(keys, typed[:at], typed[at:])
		if !bytes.Equal(whole, pieces) || left != again {
			t.Errorf("%q, %v in one piece, %q, %v in two", whole, left, pieces, again)
		}
		if len(keys) == 0 {
			keys = stdio.DefaultDetachKeys()
		}
		before, _, found := bytes.Cut(typed, keys)
		if found != left || !bytes.Equal(before, whole) {
			t.Errorf("%q, %v, want %q, %v", whole, left, before, found)
		}
	})
}
