package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal/execstream"
)

// interrupted is the exit status after ctrl-C or SIGTERM, as of a shell.
const interrupted = exitStatus(130)

// remote is how a command reaches the server.
type remote struct {
	URL     string `help:"Address of the server." env:"BERTH_URL" default:"http://127.0.0.1:8080"`
	Token   string `help:"Bearer token: a session's own, or root's. Without it root's is read from the data directory, for a server on this host." env:"BERTH_TOKEN"`
	DataDir string `help:"The server's data directory." env:"BERTH_DATA_DIR" default:"/var/lib/berth"`
}

// client returns a client with the token given, else root's where the server is on this host and the file can be read:
// that token must not travel to another one.
func (r remote) client() (*client.Client, error) {
	token := r.Token
	if token == "" && r.local() {
		if text, err := os.ReadFile(filepath.Join(r.DataDir, "admin.token")); err == nil {
			token = strings.TrimSpace(string(text))
		}
	}
	return client.New(r.URL, token)
}

func (r remote) local() bool {
	u, err := url.Parse(r.URL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// endTimeout bounds the end of a session when the command itself is ending.
const endTimeout = 30 * time.Second

// endSession ends a session also when ctx has ended.
func endSession(ctx context.Context, c *client.Client, id sessions.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := c.End(ctx, id)
	if client.IsStatus(err, 404) || client.IsStatus(err, 409) || client.IsStatus(err, 410) {
		return nil // it has ended by itself
	}
	if err != nil {
		return fmt.Errorf("end session %s (it ends by itself when its time is up): %w", id, err)
	}
	return nil
}

// whyEnded tells, instead of a broken connection or of how a program was ended, that the session is what has ended.
func whyEnded(ctx context.Context, c *client.Client, id sessions.ID, code int, err error) error {
	if err == nil && code == 0 || ctx.Err() != nil {
		return err
	}
	s, askErr := c.Get(ctx, id)
	if askErr != nil || s.State != sessions.Ended && s.State != sessions.Ending {
		return err
	}
	return &client.EndedError{Session: s.Session}
}

// statusOf makes the exit status of a program, or of ctrl-C, the command's own.
func statusOf(ctx context.Context, code int, err error) error {
	var refused *execstream.ExecError
	switch {
	case errors.As(err, &refused):
		fmt.Fprintln(os.Stderr, "berth:", refused.Message)
		return exitStatus(refused.Code)
	case err != nil && ctx.Err() != nil:
		return interrupted
	case err != nil:
		return err
	case code != 0:
		return exitStatus(code)
	}
	return nil
}
