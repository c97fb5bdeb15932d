package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth/sessions"
)

const columns = `id, seq, environment, state, reason, message, visitor, address, admin, token_hash, spec,
	created_at, ready_at, expires_at, max_expires_at, ended_at, lifetime, max_lifetime, idle_timeout`

const (
	selectQuery = `SELECT ` + columns + ` FROM sessions`
	saveQuery   = `INSERT INTO sessions (` + columns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, environment = excluded.environment, state = excluded.state, reason = excluded.reason,
		message = excluded.message, visitor = excluded.visitor, address = excluded.address, admin = excluded.admin,
		token_hash = excluded.token_hash, spec = excluded.spec, created_at = excluded.created_at, ready_at = excluded.ready_at,
		expires_at = excluded.expires_at, max_expires_at = excluded.max_expires_at, ended_at = excluded.ended_at,
		lifetime = excluded.lifetime, max_lifetime = excluded.max_lifetime, idle_timeout = excluded.idle_timeout`
)

// Save implements sessions.Store.
func (s *DB) Save(ctx context.Context, r sessions.Record) error {
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return fmt.Errorf("save session %s: %w", r.Session.ID, err)
	}
	if err := s.save(ctx, r, spec); err != nil {
		return fmt.Errorf("save session %s: %w", r.Session.ID, err)
	}
	return nil
}

func (s *DB) save(ctx context.Context, r sessions.Record, spec []byte) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	v := r.Session
	if _, err := tx.StmtContext(ctx, s.saveStmt).ExecContext(ctx,
		v.ID, r.Seq, v.Environment, v.State, v.Reason, v.Message, r.Visitor, r.Address, r.Admin, r.TokenHash, string(spec),
		millis(v.CreatedAt), millis(v.ReadyAt), millis(v.ExpiresAt), millis(v.MaxExpiresAt), millis(v.EndedAt),
		int64(r.Lifetime), int64(r.MaxLifetime), int64(r.IdleTimeout)); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, s.takeStmt).ExecContext(ctx, v.ID); err != nil {
		return err
	}
	if v.State == sessions.Ended {
		l := r.LedgerRow()
		if _, err := tx.StmtContext(ctx, s.ledgerStmt).ExecContext(ctx, l.ID, l.Visitor, l.Address, l.Environment,
			millis(l.CreatedAt), millis(l.ReadyAt), millis(l.EndedAt), l.Reason); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Get implements sessions.Store.
func (s *DB) Get(ctx context.Context, id sessions.ID) (sessions.Record, error) {
	r, err := scan(s.getStmt.QueryRowContext(ctx, id).Scan)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, fmt.Errorf("session %s: %w", id, sessions.ErrNotFound)
	case err != nil:
		return r, fmt.Errorf("read session %s: %w", id, err)
	}
	return r, nil
}

// Live implements sessions.Store.
func (s *DB) Live(ctx context.Context) (list []sessions.Record, err error) {
	rows, err := s.db.QueryContext(ctx, selectQuery+` WHERE state <> 'ended' ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Forget implements sessions.Store.
func (s *DB) Forget(ctx context.Context, before time.Time) (int, error) {
	res, err := s.db.ExecContext(ctx, `DELETE FROM sessions WHERE state = 'ended' AND ended_at < ?`, millis(before))
	if err != nil {
		return 0, fmt.Errorf("forget ended sessions: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func scan(into func(...any) error) (r sessions.Record, err error) {
	var (
		v                                    = &r.Session
		spec                                 string
		created, ready, expires, most, ended int64
	)
	if err := into(&v.ID, &r.Seq, &v.Environment, &v.State, &v.Reason, &v.Message, &r.Visitor, &r.Address, &r.Admin, &r.TokenHash, &spec,
		&created, &ready, &expires, &most, &ended, &r.Lifetime, &r.MaxLifetime, &r.IdleTimeout); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(spec), &r.Spec); err != nil {
		return r, fmt.Errorf("spec of %s: %w", v.ID, err)
	}
	v.Limits = r.Spec.Limits
	v.CreatedAt, v.ReadyAt, v.ExpiresAt = fromMillis(created), fromMillis(ready), fromMillis(expires)
	v.MaxExpiresAt, v.EndedAt = fromMillis(most), fromMillis(ended)
	return r, nil
}
