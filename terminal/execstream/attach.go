package execstream

import (
	"context"
	"errors"
	"io"
	"os"

	"berth/terminal"
)

// Local is where a program's streams end.
type Local struct {
	In       *os.File // nil: no input
	Out, Err *os.File
	TTY      bool // the program has a PTY: In, where it is a tty, is put into raw mode, and the size of Out is followed
}

// Attach is Run with the caller's own files, which stay open.
func (c *Conn) Attach(ctx context.Context, l Local) (code int, err error) {
	if l.TTY && l.In != nil {
		restore, err := terminal.Raw(l.In)
		if err != nil {
			return 0, errors.Join(err, c.Close())
		}
		defer restore()
	}
	var in io.ReadCloser
	if l.In != nil {
		stdin, err := terminal.NewStdin(l.In)
		if err != nil {
			return 0, errors.Join(err, c.Close())
		}
		defer func() { _ = stdin.Release() }()
		in = stdin
	}
	follow, stop := context.WithCancel(ctx)
	sizing := make(chan struct{})
	go func() {
		defer close(sizing)
		if l.TTY {
			terminal.FollowSize(follow, l.Out, c.Resize)
		}
	}()
	code, err = c.Run(ctx, in, l.Out, l.Err)
	stop()
	<-sizing
	return code, err
}
