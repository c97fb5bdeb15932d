// Package sessions is the domain: who may open what, for how long, and undone how. It knows sandboxes only through
// Launcher, and never imports container code.
package sessions

import (
	"crypto/rand"
	"encoding/base32"
	"regexp"
	"strings"
	"time"

	"berth/quotas"
)

// ID names a session and its sandbox: 12 lower-case letters and digits, usable as a DNS label. It is not a secret:
// access needs the owner's cookie or the session's token.
type ID string

var idPattern = regexp.MustCompile(`^[a-z2-7]{12}$`)

// NewID returns a random ID (60 bits).
func NewID() ID {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return ID(strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:12])
}

// Valid reports whether id has the form of an ID. Check it before it becomes part of a path.
func (id ID) Valid() bool { return idPattern.MatchString(string(id)) }

// State is a session's place in its life. States only move forward.
type State string

// A session's states, in their order.
const (
	Queued   State = "queued"
	Starting State = "starting"
	Ready    State = "ready"
	Ending   State = "ending"
	Ended    State = "ended"
)

// Reason says why a session ended; the visitor is told.
type Reason string

// The reasons for an end.
const (
	Expired     Reason = "expired"
	Idle        Reason = "idle"
	Closed      Reason = "closed" // by its owner
	Admin       Reason = "admin"
	OutOfMemory Reason = "out-of-memory"
	DiskFull    Reason = "disk-full"
	Crashed     Reason = "crashed"
	Policy      Reason = "policy"
)

// Session is what a visitor holds: a copy, as of one moment.
type Session struct {
	ID            ID            `json:"id"`
	Environment   string        `json:"environment"`
	State         State         `json:"state"`
	Reason        Reason        `json:"reason,omitempty"`
	Message       string        `json:"message,omitempty"` // one sentence for the visitor: why it ended, what to do
	Limits        quotas.Limits `json:"limits"`
	QueuePosition int           `json:"queue_position,omitempty"` // 1 is next; 0: not queued
	CreatedAt     time.Time     `json:"created_at"`
	ReadyAt       time.Time     `json:"ready_at,omitzero"`
	ExpiresAt     time.Time     `json:"expires_at,omitzero"` // zero while queued; moved when the session gets ready, is extended, or the clock is set
	MaxExpiresAt  time.Time     `json:"max_expires_at,omitzero"`
	EndedAt       time.Time     `json:"ended_at,omitzero"`
}

// Environment is what a session starts from.
type Environment struct {
	Name        string        `json:"name" yaml:"name"`
	Title       string        `json:"title" yaml:"title"`
	Description string        `json:"description" yaml:"description"`
	Image       string        `json:"image" yaml:"image"`
	Hostname    string        `json:"hostname" yaml:"hostname"`
	Env         []string      `json:"env,omitempty" yaml:"env"`
	Shell       []string      `json:"shell,omitempty" yaml:"shell"`
	Limits      quotas.Limits `json:"limits" yaml:"limits"`
	Lifetime    time.Duration `json:"lifetime_ns" yaml:"lifetime"`         // granted at the start and by each extension
	MaxLifetime time.Duration `json:"max_lifetime_ns" yaml:"max_lifetime"` // extensions included
	IdleTimeout time.Duration `json:"idle_timeout_ns" yaml:"idle_timeout"` // without any connection; 0: never
	Pool        int           `json:"pool" yaml:"pool"`                    // warm sandboxes kept ready
}
