package terminal_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

// desk is a local terminal with somebody at it.
type desk struct {
	t           testing.TB
	master, tty *os.File
	seen        lockedBuffer
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, master: master, tty: tty}
	if err := terminal.SetSize(master, terminal.Size{Cols: 99, Rows: 31}); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&d.seen, master)
	}()
	t.Cleanup(func() { _ = tty.Close(); <-read; _ = master.Close() })
	return d
}

func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := io.WriteString(d.master, keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) see(text string) {
	d.t.Helper()
	eventually(d.t, func() error {
		if got := d.seen.String(); !strings.Contains(got, text) {
			return errors.New("the screen shows " + got)
		}
		return nil
	})
}

// mode returns the local flags of the tty: canonical, echo and so on.
func (d *desk) mode() uint32 {
	d.t.Helper()
	raw, err := d.tty.SyscallConn()
	if err != nil {
		d.t.Fatal(err)
	}
	var flags uint32
	_ = raw.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil {
			d.t.Error(err)
			return
		}
		flags = t.Lflag
	})
	return flags
}

type attached struct {
	exit terminal.Exit
	err  error
}

func (d *desk) attach(ctx context.Context, url string) <-chan attached {
	d.t.Helper()
	c := dial(d.t, url, terminal.ClientOptions{}).Client
	done := make(chan attached, 1)
	go func() {
		exit, err := terminal.Attach(ctx, c, terminal.Local{In: d.tty, Out: d.tty})
		done <- attached{exit, err}
	}()
	return done
}

func TestAttachShowsTypesResizesAndEnds(t *testing.T) {
	_, url := serve(t, terminaltest.Command("sh"), terminal.Options{})
	d := newDesk(t)
	before := d.mode()
	done := d.attach(t.Context(), url+"1")
	d.see("$ ")
	d.press("stty size\r")
	d.see("31 99")
	if err := terminal.SetSize(d.master, terminal.Size{Cols: 77, Rows: 22}); err != nil {
		t.Fatal(err)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGWINCH) // the kernel tells the session of the tty; the test is not in it
	d.press("until stty size | grep '22 77'; do :; done; exit 7\r")
	if end := <-done; end.err != nil || end.exit.Code != 7 {
		t.Fatalf("got %+v", end)
	}
	d.see("22 77")
	if after := d.mode(); after != before {
		t.Fatalf("tty mode is %#x, was %#x", after, before)
	}
}

func TestAttachDetachesAndComesBack(t *testing.T) {
	set, url := serve(t, terminaltest.Command("cat"), terminal.Options{})
	d := newDesk(t)
	done := d.attach(t.Context(), url+"1")
	d.press("kept\r")
	d.see("kept\r\nkept\r\n")
	d.press("\x10")
	d.press("\x11")
	if end := <-done; !errors.Is(end.err, terminal.ErrDetached) {
		t.Fatalf("got %+v", end)
	}
	if !set.List()[0].Running {
		t.Fatal("the program has ended")
	}
	again := newDesk(t)
	done = again.attach(t.Context(), url+"1")
	again.see("kept\r\nkept\r\n")
	again.press("\x10x\r") // a lone ctrl-p is passed on
	again.see("^Px")
	again.press("\x04")
	if end := <-done; end.err != nil || end.exit.Code != 0 {
		t.Fatalf("got %+v", end)
	}
}

func TestAttachEndsWithItsContextAndWithAPipe(t *testing.T) {
	_, url := serve(t, terminaltest.Command("cat"), terminal.Options{})
	d := newDesk(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := d.attach(ctx, url+"1")
	d.press("x\r")
	d.see("x\r\nx")
	why := errors.New("time is up")
	cancel(why)
	if end := <-done; !errors.Is(end.err, why) {
		t.Fatalf("got %+v", end)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, _ = io.WriteString(w, "from a pipe\n")
	_ = w.Close()
	var out lockedBuffer
	exit, err := terminal.Attach(t.Context(), dial(t, url+"2", terminal.ClientOptions{}).Client, terminal.Local{In: r, Out: &out})
	if err != nil || exit.Code != 0 || strings.Count(out.String(), "from a pipe") != 2 {
		t.Fatalf("got %+v, %v, %q", exit, err, out.String())
	}
}
