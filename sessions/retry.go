package sessions

import (
	"context"
	"time"
)

// pause waits, and reports false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter is the pause after the failure of an attempt, counted from 0.
func retryAfter(attempt int) time.Duration {
	return min(retryFirst<<min(attempt, 10), retryMost)
}
