package sessions

import "time"

// Credential is what a request shows to reach sessions. The zero Credential reaches none.
type Credential struct {
	Visitor string // from the visitor's cookie
	Token   string // a session's bearer token
	Admin   bool   // root on the host
}

// Request asks for a session.
type Request struct {
	Environment string
	Lifetime    time.Duration // 0: the environment's own
	Visitor     string        // who will own it
	Address     string        // where the request came from, for the limit per address
	Admin       bool
}

// Created is a new session and the token that opens it. The token is told only here.
type Created struct {
	Session
	Token string
}

// Status is how the whole server does.
type Status struct {
	Sessions int // alive, the queued ones not included
	Capacity int // sessions that fit on the host
	Queued   int
	PerState map[State]int
	Pool     map[string]int // warm sandboxes by environment
	Err      error          // why sessions cannot be created now; nil: they can
}
