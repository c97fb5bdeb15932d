package client

import (
	"context"
	"net/http"
	"time"

	"berth/sessions"
)

// Session is a session as the API tells it.
type Session struct {
	sessions.Session
	URL   string `json:"url"`             // of its page
	Token string `json:"token,omitempty"` // told once, at creation
}

// Environments lists what a session can start from.
func (c *Client) Environments(ctx context.Context) ([]sessions.Environment, error) {
	return ask[[]sessions.Environment](ctx, c, http.MethodGet, c.url("environments"), nil)
}

// Create asks for a session. Empty environment: the server's first; zero lifetime: the environment's own. The session
// may be queued or starting: see WaitReady.
func (c *Client) Create(ctx context.Context, environment string, lifetime time.Duration) (Session, error) {
	request := struct {
		Environment string `json:"environment,omitempty"`
		Lifetime    string `json:"lifetime,omitempty"`
	}{Environment: environment}
	if lifetime > 0 {
		request.Lifetime = lifetime.String()
	}
	return ask[Session](ctx, c, http.MethodPost, c.url("sessions"), request)
}

// Get returns a session as it is now.
func (c *Client) Get(ctx context.Context, id sessions.ID) (Session, error) {
	return ask[Session](ctx, c, http.MethodGet, c.url("sessions", string(id)), nil)
}

// List returns the sessions that the identity may see.
func (c *Client) List(ctx context.Context) ([]Session, error) {
	return ask[[]Session](ctx, c, http.MethodGet, c.url("sessions"), nil)
}

// Extend gives a session more time.
func (c *Client) Extend(ctx context.Context, id sessions.ID) (Session, error) {
	return ask[Session](ctx, c, http.MethodPost, c.url("sessions", string(id), "extend"), nil)
}

// End ends a session.
func (c *Client) End(ctx context.Context, id sessions.ID) error {
	_, err := ask[struct{}](ctx, c, http.MethodDelete, c.url("sessions", string(id)), nil)
	return err
}
