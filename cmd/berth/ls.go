package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"berth/client"
	"berth/sessions"
)

// lsCommand is `berth ls`.
type lsCommand struct {
	remote
	JSON bool `name:"json" help:"Print JSON, as the API answers."`
}

// Run prints the sessions.
func (l *lsCommand) Run(ctx context.Context) error {
	c, err := l.client()
	if err != nil {
		return err
	}
	all, err := c.List(ctx)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	if l.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	return table(os.Stdout, all, time.Now())
}

// table prints sessions for a person.
func table(w io.Writer, all []client.Session, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "ID\tENVIRONMENT\tSTATE\tENDS IN")
	for _, s := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.ID, s.Environment, stateOf(s.Session), endsIn(s.Session, now))
	}
	return t.Flush()
}

func stateOf(s sessions.Session) string {
	switch {
	case s.State == sessions.Queued && s.QueuePosition > 0:
		return fmt.Sprintf("queued (%d)", s.QueuePosition)
	case s.Reason != "":
		return fmt.Sprintf("%s (%s)", s.State, s.Reason)
	}
	return string(s.State)
}

func endsIn(s sessions.Session, now time.Time) string {
	if s.ExpiresAt.IsZero() || s.State == sessions.Ended || s.State == sessions.Ending {
		return "-"
	}
	return max(0, s.ExpiresAt.Sub(now)).Round(time.Second).String()
}
