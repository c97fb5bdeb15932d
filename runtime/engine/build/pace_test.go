package build

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace: the collector's own pace comes back once nothing has been built for a while, and not before.
func TestPace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(30))
	synctest.Test(t, func(t *testing.T) {
		var p pace
		want := func(percent int) {
			t.Helper()
			synctest.Wait()
			now := debug.SetGCPercent(percent)
			if now != percent {
				t.Errorf("GOGC is %d, want %d", now, percent)
			}
		}
		p.begin()
		p.begin()
		p.end()
		time.Sleep(2 * restAfter)
		want(buildPercent)
		p.end()
		time.Sleep(restAfter / 2)
		p.begin() // before it has rested
		time.Sleep(restAfter)
		want(buildPercent)
		p.end()
		time.Sleep(restAfter)
		want(30)
		p.begin()
		want(buildPercent)
		p.end()
		time.Sleep(restAfter)
		want(30)
	})
}
