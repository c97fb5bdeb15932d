// Package e2e_test runs the real program, as its users do: `berth serve` as a process with its own directories and
// network namespace, asked through the command line, the API and a browser.
package e2e_test

import (
	"testing"
	"time"

	"berth/runtime/sandbox/sandboxtest"
)

// patience bounds every wait of the tests; it is only met when something is broken.
const patience = 30 * time.Second

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// eventually polls until check is content.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s: %v", within, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
