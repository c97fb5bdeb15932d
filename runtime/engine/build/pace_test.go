package build_test

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"berth/runtime/engine/build"
)

// TestPace: the collector's own pace comes back once nothing has been built for a while, and not before.
func TestPace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(30))
	synctest.Test(t, func(t *testing.T) {
		begin, end := build.Pace()
		pass := func(d time.Duration) {
			time.Sleep(d) //nolint:forbidigo // of synctest
		}
		want := func(percent int) {
			t.Helper()
			synctest.Wait()
			now := debug.SetGCPercent(percent)
			if now != percent {
				t.Errorf("GOGC is %d, want %d", now, percent)
			}
		}
		begin()
		begin()
		end()
		pass(2 * build.RestAfter)
		want(build.BuildPercent)
		end()
		pass(build.RestAfter / 2)
		begin() // before it has rested
		end()
		pass(build.RestAfter * 3 / 4)
		want(build.BuildPercent) // the rest is counted from the last end
		begin()
		pass(build.RestAfter)
		want(build.BuildPercent)
		end()
		pass(build.RestAfter)
		want(30)
		begin()
		want(build.BuildPercent)
		end()
		pass(build.RestAfter)
		want(30)
	})
}
