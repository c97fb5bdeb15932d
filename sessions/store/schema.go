package store

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations are the steps from an empty database to the newest. Steps are only added, never changed. Times are
// milliseconds since 1970 (0: none), durations nanoseconds.
var migrations = []string{
	`CREATE TABLE sessions (
		id TEXT PRIMARY KEY,
		seq INTEGER NOT NULL,
		environment TEXT NOT NULL,
		state TEXT NOT NULL,
		reason TEXT NOT NULL,
		message TEXT NOT NULL,
		visitor TEXT NOT NULL,
		address TEXT NOT NULL,
		admin INTEGER NOT NULL,
		token_hash BLOB NOT NULL,
		spec TEXT NOT NULL,
		created_at INTEGER NOT NULL,
		ready_at INTEGER NOT NULL,
		expires_at INTEGER NOT NULL,
		max_expires_at INTEGER NOT NULL,
		ended_at INTEGER NOT NULL,
		lifetime INTEGER NOT NULL,
		max_lifetime INTEGER NOT NULL,
		idle_timeout INTEGER NOT NULL
	) STRICT;
	CREATE INDEX sessions_live ON sessions (seq) WHERE state <> 'ended';
	CREATE INDEX sessions_ended ON sessions (ended_at) WHERE state = 'ended';
	CREATE TABLE warm (
		id TEXT PRIMARY KEY,
		environment TEXT NOT NULL,
		spec TEXT NOT NULL,
		created_at INTEGER NOT NULL
	) STRICT;
	CREATE TABLE ledger (
		id TEXT PRIMARY KEY,
		visitor TEXT NOT NULL,
		address TEXT NOT NULL,
		environment TEXT NOT NULL,
		created_at INTEGER NOT NULL,
		ready_at INTEGER NOT NULL,
		ended_at INTEGER NOT NULL,
		reason TEXT NOT NULL
	) STRICT;
	CREATE INDEX ledger_ended ON ledger (ended_at);
	CREATE TABLE checks (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;`,
}

// migrate brings the database to the newest version, each step in a transaction of its own. A database that a newer
// Berth has written is refused.
func migrate(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (
		version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT`); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	var version int
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version); err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("the database has version %d and this Berth knows up to %d: run the newer Berth that wrote it", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		if err := step(ctx, db, version+1, migrations[version]); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, version int, statements string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, statements); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (version) VALUES (?)`, version); err != nil {
		return err
	}
	return tx.Commit()
}
