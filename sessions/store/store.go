// Package store keeps sessions, the pool and the ledger in SQLite, and locks the data directory that they are in.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo

	"berth/sessions"
)

// DB is a sessions.Store in one SQLite file. Its one connection serves one caller at a time: a write takes some ten
// microseconds, and nobody ever meets SQLITE_BUSY.
type DB struct {
	db                                      *sql.DB
	saveStmt, takeStmt, ledgerStmt, getStmt *sql.Stmt
}

var _ sessions.Store = (*DB)(nil)

// Open opens or makes the database. It is in WAL mode, synchronous=NORMAL: a commit survives the end of the process,
// not always that of the kernel, which no sandbox survives either.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	q := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)", "foreign_keys(1)", "journal_size_limit(8388608)",
	}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	s := &DB{db: db}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return s, nil
}

// createPrivate makes the file so that only its owner reads it; SQLite gives its other files the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return f.Close()
}

func (s *DB) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.db); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&s.saveStmt, saveQuery},
		{&s.takeStmt, `DELETE FROM warm WHERE id = ?`},
		{&s.ledgerStmt, `INSERT INTO ledger (id, visitor, address, environment, created_at, ready_at, ended_at, reason)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`},
		{&s.getStmt, selectQuery + ` WHERE id = ?`},
	} {
		stmt, err := s.db.PrepareContext(ctx, p.query)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

// Close closes the database; what was written is in the file.
func (s *DB) Close() error { return s.db.Close() }

// Check writes a row, and reports why that cannot be done.
func (s *DB) Check(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO checks (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`,
		millis(time.Now()))
	if err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	return nil
}

// millis is a time as it is stored: milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
