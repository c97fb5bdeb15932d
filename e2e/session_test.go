package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
)

func (s *server) waitReady() {
	s.t.Helper()
	eventually(s.t, patience, func() error {
		answer, err := http.Get(s.url + "/readyz")
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", answer.Status)
		}
		return nil
	})
}

// session is a session that the test made, and a client with its owner's token.
type session struct {
	*client.Client
	t     *testing.T
	id    sessions.ID
	token string
}

// open makes a session as root and waits until it is ready.
func (s *server) open(environment string) *session {
	s.t.Helper()
	opened, err := s.tryOpen(s.t.Context(), environment, 0)
	must(s.t, err)
	return opened
}

// tryOpen is open for other goroutines than the test's.
func (s *server) tryOpen(ctx context.Context, environment string, lifetime time.Duration) (*session, error) {
	admin := s.admin()
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	created, err := admin.Create(ctx, environment, lifetime)
	if err != nil {
		return nil, err
	}
	if _, err = admin.WaitReady(ctx, created.Session, nil); err != nil {
		return nil, err
	}
	return &session{Client: admin.WithToken(created.Token), t: s.t, id: created.ID, token: created.Token}, nil
}

// sh runs a script in the session and returns what it wrote.
func (s *session) sh(script string) execstream.Collected {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	out, err := s.Run(ctx, s.id, execstream.Request{Cmd: []string{"sh", "-c", script}}, "")
	must(s.t, err)
	return out
}

// screen is one viewer of a terminal and all that it has seen.
type screen struct {
	*terminal.Client
	t      *testing.T
	output bytes.Buffer

	lost     int  // connections
	attached bool // the latest connection has brought its first status
}

func (s *session) terminal(name string) *screen {
	s.t.Helper()
	c, err := s.Terminal(s.t.Context(), s.id, name, terminal.ClientOptions{Size: terminal.Size{Cols: 80, Rows: 24}})
	must(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	return &screen{Client: c, t: s.t}
}

func (c *screen) types(text string) {
	c.t.Helper()
	must(c.t, c.Type(c.t.Context(), []byte(text)))
}

// until reads until the output since the last call of forget has text.
func (c *screen) until(text string) {
	c.t.Helper()
	must(c.t, c.read(c.t.Context(), 2*patience, func() bool { return strings.Contains(c.output.String(), text) }))
}

func (c *screen) forget() { c.output.Reset() }

func (c *screen) read(ctx context.Context, within time.Duration, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !enough() {
		e, err := c.Next(ctx)
		if err != nil {
			tail := c.output.Bytes()
			return fmt.Errorf("%w, the terminal showed %q", err, tail[max(0, len(tail)-400):])
		}
		c.output.Write(e.Output)
		if e.Lost != nil {
			c.lost++
			c.attached = false
		}
		c.attached = c.attached || e.Status != nil && e.Status.Type == terminal.Hello
	}
	return nil
}
