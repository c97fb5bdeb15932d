package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"berth/sessions"
)

// SaveWarm implements sessions.Store.
func (s *DB) SaveWarm(ctx context.Context, w sessions.Warm) error {
	spec, err := json.Marshal(w.Spec)
	if err == nil {
		_, err = s.db.ExecContext(ctx, `INSERT OR REPLACE INTO warm (id, environment, spec, created_at) VALUES (?, ?, ?, ?)`,
			w.ID, w.Environment, string(spec), millis(w.CreatedAt))
	}
	if err != nil {
		return fmt.Errorf("save sandbox %s of the pool: %w", w.ID, err)
	}
	return nil
}

// DeleteWarm implements sessions.Store.
func (s *DB) DeleteWarm(ctx context.Context, id sessions.ID) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM warm WHERE id = ?`, id); err != nil {
		return fmt.Errorf("delete sandbox %s of the pool: %w", id, err)
	}
	return nil
}

// Warm implements sessions.Store.
func (s *DB) Warm(ctx context.Context) (list []sessions.Warm, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, environment, spec, created_at FROM warm ORDER BY created_at, rowid`)
	if err != nil {
		return nil, fmt.Errorf("read pool: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			w       sessions.Warm
			spec    string
			created int64
		)
		if err := rows.Scan(&w.ID, &w.Environment, &spec, &created); err != nil {
			return nil, fmt.Errorf("read pool: %w", err)
		}
		if err := json.Unmarshal([]byte(spec), &w.Spec); err != nil {
			return nil, fmt.Errorf("read pool: spec of %s: %w", w.ID, err)
		}
		w.CreatedAt = fromMillis(created)
		list = append(list, w)
	}
	return list, rows.Err()
}
