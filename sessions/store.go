package sessions

import (
	"context"
	"time"
)

// Store keeps sessions over a restart of the server. Every method is safe for use by many goroutines; what has
// returned without an error is there for the next process, also after SIGKILL.
type Store interface {
	// Save writes r over what the store has of the same ID, and forgets the warm sandbox of that ID: a session that
	// takes a warm sandbox is one transaction. A record that is Ended adds a row to the ledger, once.
	Save(ctx context.Context, r Record) error
	// Get returns a record, or ErrNotFound.
	Get(ctx context.Context, id ID) (Record, error)
	// Live returns every record that is not Ended, in the order of Seq.
	Live(ctx context.Context) ([]Record, error)
	// Forget removes the records that ended before a moment; the ledger stays.
	Forget(ctx context.Context, before time.Time) (removed int, err error)

	// SaveWarm, DeleteWarm and Warm keep the sandboxes of the pool. Deleting one that is not there is no error.
	SaveWarm(ctx context.Context, w Warm) error
	DeleteWarm(ctx context.Context, id ID) error
	Warm(ctx context.Context) ([]Warm, error)

	// Check reports why nothing can be written now.
	Check(ctx context.Context) error
}

// Record is all that is kept of a session. It holds what the environment said when the session was created: a later
// environments.yaml changes no session that runs.
type Record struct {
	Session     Session
	Seq         int64 // order of arrival among the sessions that have not ended: the clock may be set, this only grows
	Visitor     string
	Address     string
	Admin       bool   // created by the operator: counts towards no visitor's limit
	TokenHash   []byte // SHA-256 of the token
	Spec        Spec
	Lifetime    time.Duration
	MaxLifetime time.Duration
	IdleTimeout time.Duration // 0: never
}

// Warm is a sandbox of the pool.
type Warm struct {
	ID          ID
	Environment string
	Spec        Spec
	CreatedAt   time.Time
}

// LedgerRow says who held a sandbox, and how long: one row for each session that ended. The operator keeps it.
type LedgerRow struct {
	ID          ID        `json:"id"`
	Visitor     string    `json:"visitor"`
	Address     string    `json:"address"`
	Environment string    `json:"environment"`
	CreatedAt   time.Time `json:"created_at"`
	ReadyAt     time.Time `json:"ready_at,omitzero"` // zero: it never was
	EndedAt     time.Time `json:"ended_at"`
	Reason      Reason    `json:"reason"`
}

// LedgerRow is the row that a record leaves when it ends.
func (r Record) LedgerRow() LedgerRow {
	s := r.Session
	return LedgerRow{
		ID: s.ID, Visitor: r.Visitor, Address: r.Address, Environment: s.Environment,
		CreatedAt: s.CreatedAt, ReadyAt: s.ReadyAt, EndedAt: s.EndedAt, Reason: s.Reason,
	}
}
