package sandbox

import (
	"context"
	"maps"
	"slices"
	"time"
)

// rulesEvery is how long a sandbox may be without its network rules after somebody has flushed the host's.
const rulesEvery = 5 * time.Second

// keepRules puts the network rules of living sandboxes in force again where something else on the host has removed them.
func (l *Launcher) keepRules(ctx context.Context) {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		living := slices.Collect(maps.Values(l.alive))
		l.mu.Unlock()
		for _, s := range living {
			if s.process.ended() {
				continue
			}
			restored, err := s.link().Enforce(ctx, s.state.Limits)
			if err != nil && ctx.Err() == nil {
				l.Log.Error("network rules", "sandbox", s.state.ID, "error", err)
			}
			if err == nil && !restored {
				break // who flushes takes all: one that has its rules speaks for the others
			}
		}
	}
}
