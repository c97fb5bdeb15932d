package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth/sessions"
)

// Ledger returns the rows of sessions that ended at or after a moment, the oldest first, at most limit of them.
func (s *DB) Ledger(ctx context.Context, since time.Time, limit int) (list []sessions.LedgerRow, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, visitor, address, environment, created_at, ready_at, ended_at, reason
		FROM ledger WHERE ended_at >= ? ORDER BY ended_at, rowid LIMIT ?`, millis(since), limit)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			l                     sessions.LedgerRow
			created, ready, ended int64
		)
		if err := rows.Scan(&l.ID, &l.Visitor, &l.Address, &l.Environment, &created, &ready, &ended, &l.Reason); err != nil {
			return nil, fmt.Errorf("read ledger: %w", err)
		}
		l.CreatedAt, l.ReadyAt, l.EndedAt = fromMillis(created), fromMillis(ready), fromMillis(ended)
		list = append(list, l)
	}
	return list, rows.Err()
}
