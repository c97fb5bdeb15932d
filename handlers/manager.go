// Package handlers turns a request into one call of package sessions, and its answer into one page or one JSON document.
// What an error means to HTTP is said in one place (errors.go). Identity, Origin and rates are package web's.
package handlers

import (
	"context"
	"net"

	"berth/sessions"
)

// Manager is what the handlers need of package sessions. A session that the credential does not open is
// sessions.ErrNotFound from every method, so that nobody learns which sessions exist.
type Manager interface {
	Create(ctx context.Context, req sessions.Request) (sessions.Created, error)
	Get(ctx context.Context, cred sessions.Credential, id sessions.ID) (sessions.Session, error)
	List(ctx context.Context, cred sessions.Credential) ([]sessions.Session, error)
	Extend(ctx context.Context, cred sessions.Credential, id sessions.ID) (sessions.Session, error)
	End(ctx context.Context, cred sessions.Credential, id sessions.ID) error
	// Events is closed when ctx ends or the session has ended.
	Events(ctx context.Context, cred sessions.Credential, id sessions.ID) (<-chan sessions.Event, error)
	// Dial connects to the API of the session's sandbox.
	Dial(ctx context.Context, cred sessions.Credential, id sessions.ID) (net.Conn, error)
	// DialShared is Dial for those who know no more than the session's ID: they are shown its ports, and nothing else.
	DialShared(ctx context.Context, id sessions.ID) (net.Conn, error)
	Environments() []sessions.Environment
	Status(ctx context.Context) sessions.Status
}
