package sessionstest_test

import (
	"testing"
	"time"

	"berth/quotas"
	"berth/sessions"
	"berth/sessions/sessionstest"
)

func TestLauncher(t *testing.T) {
	sessionstest.RunLauncher(t, func(t *testing.T) sessionstest.Subject {
		l := sessionstest.NewLauncher()
		l.LaunchTime = 2 * time.Millisecond
		t.Cleanup(l.Close)
		return sessionstest.Subject{
			Launcher: l,
			Spec: sessions.Spec{Image: "test", Hostname: "test", Limits: quotas.Limits{
				CPUs: 1, MemoryBytes: 1 << 30, PIDs: 512, DiskBytes: 4 << 30, DiskInodes: 1 << 18, Terminals: 8,
			}},
			Kill: func(_ *testing.T, id sessions.ID) { l.Crash(id, sessions.Exit{Reason: sessions.Crashed}) },
			Remnants: func(*testing.T) []string {
				var left []string
				for _, id := range l.Running() {
					left = append(left, string(id))
				}
				return left
			},
		}
	})
}

func TestStore(t *testing.T) {
	sessionstest.RunStore(t, func(*testing.T) sessions.Store { return sessionstest.NewStore() })
}
