package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/sessions"
	"berth/sessions/sessionstest"
	"berth/sessions/store"
)

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestStore(t *testing.T) {
	sessionstest.RunStore(t, func(t *testing.T) sessions.Store {
		return open(t, filepath.Join(t.TempDir(), "with ?&#% and space.db"))
	})
}

func TestMain(m *testing.M) {
	if path := os.Getenv("STORE_TEST_CRASH"); path != "" {
		crash(path)
	}
	os.Exit(m.Run())
}

// crash writes, and dies by SIGKILL as soon as the last write has returned.
func crash(path string) {
	ctx := context.Background()
	db, err := store.Open(ctx, path)
	if err == nil {
		for _, r := range []sessions.Record{sessionstest.SampleRecord(sessions.Ready), sessionstest.SampleRecord(sessions.Ended)} {
			err = errors.Join(err, db.Save(ctx, r))
		}
		err = errors.Join(err, db.SaveWarm(ctx, sessions.Warm{ID: sessions.NewID(), Environment: "debian"}))
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_CRASH="+path)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("the writer was not killed: %v %s", err, out)
		}
	}
	db := open(t, path)
	live, err := db.Live(t.Context())
	if err != nil || len(live) != 3 {
		t.Errorf("Live: %d, %v, want 3", len(live), err)
	}
	ledger, err := db.Ledger(t.Context(), time.Time{}, 100)
	if err != nil || len(ledger) != 3 {
		t.Errorf("Ledger: %d, %v, want 3", len(ledger), err)
	}
	warm, err := db.Warm(t.Context())
	if err != nil || len(warm) != 3 {
		t.Errorf("Warm: %d, %v, want 3", len(warm), err)
	}
}

func TestLedgerHasOneRowForEachEnd(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "berth.db"))
	r := sessionstest.SampleRecord(sessions.Ended)
	for range 2 {
		if err := db.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Forget(t.Context(), r.Session.EndedAt.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Ledger(t.Context(), r.Session.EndedAt, 10)
	if err != nil || len(rows) != 1 || rows[0] != r.LedgerRow() {
		t.Errorf("Ledger: %+v, %v, want %+v", rows, err, r.LedgerRow())
	}
	if rows, err := db.Ledger(t.Context(), r.Session.EndedAt.Add(time.Millisecond), 10); err != nil || len(rows) != 0 {
		t.Errorf("Ledger of later: %+v, %v", rows, err)
	}
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	var version int
	var mode string
	if err := errors.Join(raw.QueryRowContext(t.Context(), `SELECT MAX(version) FROM migrations`).Scan(&version),
		raw.QueryRowContext(t.Context(), `PRAGMA journal_mode`).Scan(&mode)); err != nil {
		t.Fatal(err)
	}
	if version < 1 || mode != "wal" {
		t.Errorf("version %d, journal mode %s", version, mode)
	}
	if err := open(t, path).Close(); err != nil {
		t.Errorf("opening it again: %v", err)
	}
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO migrations (version) VALUES (999)`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "version 999") {
		t.Errorf("a database of a newer Berth: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "berth.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(path, "below a file")} {
		if _, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
}

func BenchmarkSave(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "berth.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for b.Loop() {
		if err := db.Save(b.Context(), sessionstest.SampleRecord(sessions.Ready)); err != nil {
			b.Fatal(err)
		}
	}
}
