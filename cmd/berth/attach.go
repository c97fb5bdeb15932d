package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
)

// attachCommand is `berth attach`.
type attachCommand struct {
	remote
	ID       sessions.ID `arg:"" help:"The session."`
	Terminal string      `default:"1" help:"Which of the session's terminals; one that is not there is made."`
}

// Help is shown below the usage.
func (attachCommand) Help() string {
	return "ctrl-p ctrl-q leaves the terminal; its program runs on."
}

// Run joins this terminal and a session's.
func (a *attachCommand) Run(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	err = attach(ctx, c, a.ID, a.Terminal)
	if errors.Is(err, terminal.ErrDetached) {
		fmt.Fprintf(os.Stderr, "\r\nSession %s runs on.\n", a.ID)
		return nil
	}
	return err
}

// attach follows a terminal until its program ends, whose exit status is the command's, or the person detaches.
func attach(ctx context.Context, c *client.Client, id sessions.ID, name string) error {
	o := terminal.ClientOptions{}
	if size, err := terminal.SizeOf(os.Stdout); err == nil && size.Validate() == nil {
		o.Size = size
	}
	t, err := c.Terminal(ctx, id, name, o)
	if err != nil {
		return statusOf(ctx, 0, whyEnded(ctx, c, id, 0, err))
	}
	defer warn(ctx, c, id, os.Stderr, true)()
	exit, err := terminal.Attach(ctx, t, terminal.Local{
		In: os.Stdin, Out: os.Stdout,
		Notify: func(line string) { fmt.Fprintf(os.Stderr, "\r\n[berth: %s]\r\n", line) },
	})
	if closeErr := t.Close(); err == nil {
		err = closeErr
	}
	if errors.Is(err, terminal.ErrDetached) {
		return err
	}
	return statusOf(ctx, exit.Code, whyEnded(ctx, c, id, exit.Code, err))
}
