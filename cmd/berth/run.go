package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
)

// runCommand is `berth run`.
type runCommand struct {
	remote
	Lifetime    time.Duration `help:"How long the session lives, e.g. 20s or 45m; default: the environment's own."`
	Environment string        `arg:"" optional:"" name:"env" help:"What the session starts from; default: the server's first environment."`
	Cmd         []string      `arg:"" optional:"" passthrough:"" help:"Command to run, best after --; default: a shell to work in."`
}

// Help is shown below the usage.
func (runCommand) Help() string {
	return "With a command, the session ends with it and its exit status is passed through. Without one, a shell is attached: " +
		"ctrl-p ctrl-q leaves it and keeps the session; the session ends when the shell does."
}

// Run makes a session, works in it, and ends it.
func (r *runCommand) Run(ctx context.Context, w words) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	created, err := c.Create(ctx, r.Environment, r.Lifetime)
	if err != nil {
		if ctx.Err() != nil {
			return interrupted
		}
		return fmt.Errorf("create session: %w", err)
	}
	if !c.HasToken() {
		c = c.WithToken(created.Token)
	}
	err = r.work(ctx, c, created, w.after(r.Cmd))
	if errors.Is(err, terminal.ErrDetached) {
		fmt.Fprintf(os.Stderr, "\r\nSession %s runs on%s. Come back with: %s\n", created.ID, until(created), comeBack(created, r.Token))
		return nil
	}
	return errors.Join(err, endSession(ctx, c, created.ID))
}

// until says when a session ends, if that is known.
func until(s client.Session) string {
	if s.ExpiresAt.IsZero() {
		return ""
	}
	return " until " + s.ExpiresAt.Local().Format(time.TimeOnly)
}

// comeBack is the command that attaches again; a visitor without a token needs the session's own.
func comeBack(s client.Session, token string) string {
	command := "berth attach " + string(s.ID)
	if token == "" && s.Token != "" {
		command = "BERTH_TOKEN=" + s.Token + " " + command
	}
	return command
}

// work waits for the session and runs the command, or a shell.
func (r *runCommand) work(ctx context.Context, c *client.Client, created client.Session, command []string) error {
	if created.State != sessions.Ready {
		tell := progress()
		tell(created.Session)
		ready, err := c.WaitReady(ctx, created.Session, tell)
		if err != nil && ctx.Err() != nil {
			return interrupted
		}
		if err != nil {
			return err
		}
		created.Session = ready
	}
	if len(command) == 0 {
		return attach(ctx, c, created.ID, "1")
	}
	tty := terminal.IsTTY(os.Stdin) && terminal.IsTTY(os.Stdout)
	defer warn(ctx, c, created.ID, os.Stderr, tty)()
	return execute(ctx, c, created.ID, execstream.Request{Cmd: command, TTY: tty}, os.Stdin)
}

// progress returns a function that tells on stderr what is waited for, each thing once.
func progress() func(sessions.Session) {
	last := ""
	return func(s sessions.Session) {
		line := ""
		switch s.State {
		case sessions.Queued:
			line = fmt.Sprintf("session %s is number %d in the queue", s.ID, s.QueuePosition)
		case sessions.Starting:
			line = fmt.Sprintf("session %s is starting", s.ID)
		case sessions.Ready, sessions.Ending, sessions.Ended:
		}
		if line != "" && line != last {
			fmt.Fprintln(os.Stderr, line)
			last = line
		}
	}
}
