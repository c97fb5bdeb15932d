package main

import (
	"context"
	"errors"
	"os"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
)

// execCommand is `berth exec`.
type execCommand struct {
	remote
	Interactive bool        `short:"i" help:"Pass standard input to the command."`
	TTY         bool        `short:"t" name:"tty" help:"Give the command a terminal."`
	Env         []string    `short:"e" sep:"none" help:"Environment variable, NAME=value; may be repeated."`
	Workdir     string      `short:"w" help:"Directory to run in."`
	User        string      `short:"u" help:"User to run as."`
	ID          sessions.ID `arg:"" help:"The session."`
	Cmd         []string    `arg:"" optional:"" passthrough:"" help:"Command to run, best after --."`
}

// Run runs a command in a session and passes its exit status through.
func (e *execCommand) Run(ctx context.Context, w words) error {
	command := w.after(e.Cmd)
	if len(command) == 0 {
		return errors.New("no command: write it after --, like: berth exec " + string(e.ID) + " -- ls /")
	}
	c, err := e.client()
	if err != nil {
		return err
	}
	in := os.Stdin
	if !e.Interactive {
		in = nil
	}
	return execute(ctx, c, e.ID, execstream.Request{
		Cmd: command, TTY: e.TTY, Env: e.Env, Workdir: e.Workdir, User: e.User,
	}, in)
}

// execute runs a command with this process's own output, and in (nil: no input).
func execute(ctx context.Context, c *client.Client, id sessions.ID, r execstream.Request, in *os.File) error {
	if r.TTY {
		if size, err := terminal.SizeOf(os.Stdout); err == nil && size.Validate() == nil {
			r.Size = size
		}
	}
	conn, err := c.Exec(ctx, id, r)
	if err != nil {
		return statusOf(ctx, 0, whyEnded(ctx, c, id, 0, err))
	}
	code, err := conn.Attach(ctx, execstream.Local{In: in, Out: os.Stdout, Err: os.Stderr, TTY: r.TTY})
	if refused := (*execstream.ExecError)(nil); !errors.As(err, &refused) {
		err = whyEnded(ctx, c, id, code, err)
	}
	return statusOf(ctx, code, err)
}
