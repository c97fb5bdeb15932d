package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"berth/sessions/store"
)

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	l, err := store.AcquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.AcquireLock(dir)
	var held *store.HeldError
	if !errors.As(err, &held) || held.PID != os.Getpid() || held.Dir != dir {
		t.Fatalf("second lock: %v", err)
	}
	if msg := err.Error(); !strings.Contains(msg, fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(msg, dir) {
		t.Errorf("the message does not name the holder: %s", msg)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := store.AcquireLock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestLockWithoutDirectory(t *testing.T) {
	if _, err := store.AcquireLock(t.TempDir() + "/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lock in a directory that is not there: %v", err)
	}
}
