package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Local is the terminal that the caller sits at.
type Local struct {
	In     *os.File     // a tty is put into raw mode while attached
	Out    io.Writer    // output; where it is a tty its size is followed
	Notify func(string) // one line for the person, such as that the connection was lost; nil: not told
}

// ErrDetached is returned by Attach when the person pressed ctrl-p ctrl-q; the program runs on.
var ErrDetached = errors.New("detached")

// Attach joins the local terminal and the client's until the program ends, the person detaches (ErrDetached), ctx ends
// or the connection is lost for good. Input that ends (a pipe) is followed by ctrl-d. The client stays open.
func Attach(ctx context.Context, c *Client, l Local) (Exit, error) {
	if l.Notify == nil {
		l.Notify = func(string) {}
	}
	restore, err := Raw(l.In)
	if err != nil {
		return Exit{}, err
	}
	defer restore()
	in, err := NewStdin(l.In)
	if err != nil {
		return Exit{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	typing, sizing := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(typing)
		if err := typeInto(ctx, c, in); err != nil {
			cancel(err)
		}
	}()
	go func() {
		defer close(sizing)
		if f, ok := l.Out.(*os.File); ok {
			FollowSize(ctx, f, c.Resize)
		}
	}()
	exit, err := show(ctx, c, l)
	cancel(nil)
	_ = in.Close()
	<-typing
	<-sizing
	return exit, errors.Join(err, in.Release())
}

// Raw puts a tty into raw mode until restore is called; anything else is left as it is.
func Raw(f *os.File) (restore func(), err error) {
	fd, err := descriptor(f)
	if err != nil || !term.IsTerminal(fd) {
		return func() {}, err
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("set terminal to raw mode: %w", err)
	}
	return func() { _ = term.Restore(fd, before) }, nil
}

// descriptor returns f's descriptor without making it blocking. f must stay open while it is used.
func descriptor(f *os.File) (int, error) {
	n := -1
	err := control(f, func(fd int) error { n = fd; return nil })
	return n, err
}

// typeInto copies input. It returns ErrDetached after the detach keys.
func typeInto(ctx context.Context, c *Client, in io.Reader) error {
	var keys detachKeys
	buf := make([]byte, 4<<10)
	for {
		n, err := in.Read(buf)
		pass, detach := keys.filter(buf[:n])
		if c.Type(ctx, pass) != nil {
			return nil //nolint:nilerr // show returns the client's error
		}
		switch {
		case detach:
			return ErrDetached
		case errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, io.EOF):
			_ = c.Type(ctx, []byte{'d' & 0x1f})
			return nil
		case err != nil:
			return fmt.Errorf("read terminal: %w", err)
		}
	}
}

// FollowSize tells the size of the tty f now and whenever it changes, until ctx ends. What is no tty has no size; a size
// that resize refuses (out of range, or the connection is lost) is passed over.
func FollowSize(ctx context.Context, f *os.File, resize func(Size) error) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	defer signal.Stop(changed)
	for {
		if size, err := SizeOf(f); err == nil {
			_ = resize(size)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// IsTTY reports whether f is a terminal.
func IsTTY(f *os.File) bool {
	fd, err := descriptor(f)
	return err == nil && term.IsTerminal(fd)
}

// SizeOf returns the size of the tty f.
func SizeOf(f *os.File) (Size, error) {
	var size Size
	err := control(f, func(fd int) error {
		cols, rows, err := term.GetSize(fd)
		size = Size{Cols: cols, Rows: rows}
		return err
	})
	return size, err
}

// show writes output until the program ends or ctx does.
func show(ctx context.Context, c *Client, l Local) (Exit, error) {
	for {
		e, err := c.Next(ctx)
		if err != nil {
			return Exit{}, err
		}
		exit, ended, err := l.show(e)
		if ended || err != nil {
			return exit, err
		}
	}
}

// show does what one event says.
func (l Local) show(e Event) (exit Exit, ended bool, err error) {
	switch {
	case e.Output != nil:
		_, err = l.Out.Write(e.Output)
	case e.Lost != nil:
		l.Notify("connection lost, trying again: " + e.Lost.Error())
	case e.Status.Type == Exited:
		return Exit{Code: e.Status.Code, Signal: e.Status.Signal}, true, nil
	case e.Status.Type == Gap:
		l.Notify(fmt.Sprintf("%d bytes of output are no longer held", e.Status.To-e.Status.From))
	case e.Status.Type == Failed:
		l.Notify(e.Status.Message)
	}
	return Exit{}, false, err
}
