package handlers

import (
	"context"
	"net/http"

	"berth/sessions"
)

// Caller is who sent a request, as package web has found out.
type Caller struct {
	Visitor   string // from the cookie; "" without one, and always "" where Token or Admin is set
	Token     string // bearer token that is not the admin's
	Admin     bool   // bearer token of root on this host
	Address   string // of the client, behind trusted proxies
	Scheme    string // http or https, as the client sees it
	RequestID string
	Nonce     string // of this answer's Content-Security-Policy
}

// Credential is what the caller shows to package sessions.
func (c Caller) Credential() sessions.Credential {
	return sessions.Credential{Visitor: c.Visitor, Token: c.Token, Admin: c.Admin}
}

type callerKey struct{}

// WithCaller returns the request with its caller, which CallerOf finds.
func WithCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// CallerOf returns the request's caller; the zero Caller where package web has set none, which opens nothing.
func CallerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}
