package client

import (
	"context"
	"net/http"

	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
)

// Terminal connects to a session's terminal, which is made where there is none. ctx is the connection's life, over
// reconnections. o.Header is replaced. When the server refuses, the error is a *Problem.
func (c *Client) Terminal(ctx context.Context, id sessions.ID, name string, o terminal.ClientOptions) (*terminal.Client, error) {
	o.Header = c.header()
	t, err := terminal.Dial(ctx, c.url("sessions", string(id), "terminals", name), o)
	return t, asProblem(err)
}

// Terminals lists a session's terminals.
func (c *Client) Terminals(ctx context.Context, id sessions.ID) ([]terminal.Info, error) {
	return ask[[]terminal.Info](ctx, c, http.MethodGet, c.url("sessions", string(id), "terminals"), nil)
}

// EndTerminal ends a terminal's program and forgets the terminal.
func (c *Client) EndTerminal(ctx context.Context, id sessions.ID, name string) error {
	_, err := ask[struct{}](ctx, c, http.MethodDelete, c.url("sessions", string(id), "terminals", name), nil)
	return err
}

// Exec starts a program with streamed input and output. When the server refuses, the error is a *Problem.
func (c *Client) Exec(ctx context.Context, id sessions.ID, r execstream.Request) (*execstream.Conn, error) {
	conn, err := execstream.Dial(ctx, c.url("sessions", string(id), "exec"), r, execstream.DialOptions{Header: c.header()})
	return conn, asProblem(err)
}

// Run runs a program to its end and returns what it wrote; both outputs are bounded.
func (c *Client) Run(ctx context.Context, id sessions.ID, r execstream.Request, stdin string) (execstream.Collected, error) {
	request := execstream.Post{Cmd: r.Cmd, Stdin: stdin, Env: r.Env, Workdir: r.Workdir, User: r.User, TTY: r.TTY}
	var out execstream.Collected
	err := c.do(ctx, http.MethodPost, c.url("sessions", string(id), "exec"), request, &out) // for as long as the program runs
	return out, err
}
