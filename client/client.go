// Package client speaks the REST API of `berth serve`, version 1: what the command line, the benchmarks and the
// end-to-end tests use. Errors of the server are *Problem.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth/terminal"
)

const (
	// requestTimeout bounds requests that are answered at once; creating and ending a session may take seconds.
	requestTimeout = 60 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 32 << 20
)

// Client is one server and one identity. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the server at baseURL, such as "http://127.0.0.1:8080". Without a token it is a visitor, who
// can create sessions; the session's own token then reaches it.
func New(baseURL, token string) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the address of a server: write it like http://127.0.0.1:8080", baseURL)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	return &Client{base: u, token: token, http: &http.Client{}}, nil
}

// WithToken returns a client of the same server with another identity.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = token
	return &other
}

// HasToken reports whether the client has an identity.
func (c *Client) HasToken() bool { return c.token != "" }

// Problem is the server's answer to a request that it does not carry out: RFC 9457.
type Problem struct {
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Code       string `json:"code"` // stable: programs may decide on it
	Detail     string `json:"detail"`
	RetryAfter int    `json:"retry_after"` // seconds; 0: not worth trying again by itself
}

func (p *Problem) Error() string {
	switch {
	case p.Detail != "":
		return p.Detail
	case p.Title != "":
		return p.Title
	}
	return fmt.Sprintf("the server answers %d %s", p.Status, http.StatusText(p.Status))
}

// IsStatus reports whether err is a Problem with this HTTP status.
func IsStatus(err error, status int) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == status
}

// url is the address of a part of the API.
func (c *Client) url(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.base.String() + "/api/v1/" + strings.Join(parts, "/")
}

func (c *Client) header() http.Header {
	h := http.Header{}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	return h
}

// ask is do with a time limit, for answers of type T.
func ask[T any](ctx context.Context, c *Client, method, address string, in any) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()
	var out T
	err := c.do(ctx, method, address, in, &out)
	return out, err
}

// do sends a request with an optional JSON body and reads the JSON answer into out. No content leaves out as it is.
func (c *Client) do(ctx context.Context, method, address string, in, out any) error {
	answer, err := c.open(ctx, method, address, in, "application/json")
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer to %s %s: %w", method, address, err)
	}
	return nil
}

// open sends a request. The answer, whose status is below 300, is the caller's to close.
func (c *Client) open(ctx context.Context, method, address string, in any, accept string) (*http.Response, error) {
	var body io.Reader
	header := c.header()
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	header.Set("Accept", accept)
	req.Header = header
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from the server: is `berth serve` running at %s? %w", c.base, err)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	return nil, problemOf(answer)
}

// problemOf reads a problem document; of anything else the status is told.
func problemOf(answer *http.Response) error {
	p := &Problem{}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") {
		_ = json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(p) // what cannot be read stays empty
	}
	p.Status = answer.StatusCode
	return p
}

// asProblem makes a Problem of a websocket's refusal; other errors, and nil, pass.
func asProblem(err error) error {
	var refused *terminal.RefusedError
	if errors.As(err, &refused) {
		return &Problem{Title: http.StatusText(refused.Status), Status: refused.Status, Detail: refused.Detail}
	}
	return err
}
