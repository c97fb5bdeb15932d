package sessions

import (
	"sync"
	"time"
)

// wall is the time of day that sessions are told: the wall clock at the start, carried on by the monotonic clock. When
// somebody sets the clock (or the host was suspended) adjust notices, and every session's times are moved by as much.
type wall struct {
	clock func() time.Time
	start time.Time // monotonic
	base  time.Time // the time of day at start

	mu   sync.Mutex
	skew time.Duration // that the clock was set by since
}

func newWall(clock func() time.Time) *wall {
	return &wall{clock: clock, start: time.Now(), base: clock().Round(0).UTC()}
}

// read returns one moment as time of day and as monotonic time, and the skew that the time of day goes by.
func (w *wall) read() (now, mono time.Time, skew time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	mono = time.Now()
	return w.base.Add(mono.Sub(w.start) + w.skew).Truncate(time.Millisecond), mono, w.skew
}

func (w *wall) skewed() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.skew
}

// adjust follows the wall clock where it strayed by more than is tolerated, and says by how much it did.
func (w *wall) adjust() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := w.clock().Round(0).Sub(w.base.Add(time.Since(w.start) + w.skew))
	if by.Abs() <= clockTolerance {
		return 0
	}
	w.skew += by
	return by
}
