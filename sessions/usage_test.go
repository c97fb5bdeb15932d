package sessions_test

import (
	"strings"
	"testing"
	"time"

	"berth/quotas"
	"berth/sessions"
)

func TestUsageIsReadFasterWhileWatched(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(100 * time.Millisecond)
		reads := func(d time.Duration) int {
			before := w.launcher.UsageReads(c.ID)
			w.pass(d)
			return w.launcher.UsageReads(c.ID) - before
		}
		if n := reads(time.Minute); n != 4 {
			t.Errorf("%d readings in a minute while nobody watches, want 4", n)
		}
		r := w.watch(c.ID)
		if n := reads(20 * time.Second); n < 19 || n > 21 {
			t.Errorf("%d readings in 20 s while somebody watches, want 20", n)
		}
		told := 0
		for _, e := range r.events() {
			if e.Type == sessions.EventUsage {
				told++
			}
		}
		if told < 19 || told > 21 {
			t.Errorf("%d told", told)
		}
		r.stop()
		w.pass(2 * time.Second)
		if n := reads(time.Minute); n != 4 {
			t.Errorf("%d readings in a minute after the watcher left, want 4", n)
		}
	})
}

func TestNotices(t *testing.T) {
	for name, test := range map[string]struct {
		kind   string
		change func(*quotas.Usage)
		want   []string
	}{
		"one process": {"memory", func(u *quotas.Usage) { u.OOMKills++; u.OOMVictim = "tail" }, []string{"memory: the limit of 1.0 GiB", "`tail` was ended"}},
		"processes":   {"memory", func(u *quotas.Usage) { u.OOMKills += 3 }, []string{"3 processes were ended"}},
		"fork bomb":   {"pids", func(u *quotas.Usage) { u.PIDsRefused += 1000 }, []string{"limit of 512"}},
		"disk":        {"disk", func(u *quotas.Usage) { u.DiskFree = 20 << 20 }, []string{"20 MiB of 4.0 GiB are left", "Delete"}},
		"inodes":      {"inodes", func(u *quotas.Usage) { u.InodesFree = 0 }, []string{"0 of 262144 files"}},
		"egress":      {"egress", func(u *quotas.Usage) { u.EgressDenied += 7 }, []string{"7 packets"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.start()
				c := w.create(sessions.Request{})
				r := w.watch(c.ID)
				w.pass(3 * time.Second)
				if n := r.notices(test.kind); len(n) != 0 {
					t.Fatalf("told before anything happened: %q", n)
				}
				w.launcher.SetUsage(c.ID, test.change)
				w.pass(5 * time.Second)
				n := r.notices(test.kind)
				if len(n) != 1 {
					t.Fatalf("told %q, want one notice", n)
				}
				for _, part := range test.want {
					if !strings.Contains(n[0], part) {
						t.Errorf("%q does not say %q", n[0], part)
					}
				}
			})
		})
	}
}

func TestNoticesAreNotRepeatedTooOften(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		r := w.watch(c.ID)
		for range 60 {
			w.launcher.SetUsage(c.ID, func(u *quotas.Usage) {
				u.OOMKills++
				u.EgressDenied++
				u.DiskFree = u.At.UnixNano() % 100 // full, and stays so
			})
			w.pass(time.Second)
		}
		if n := len(r.notices("memory")); n < 5 || n > 7 {
			t.Errorf("%d notices of memory in a minute", n)
		}
		if n := len(r.notices("egress")); n != 1 {
			t.Errorf("%d notices of egress in a minute", n)
		}
		if n := len(r.notices("disk")); n != 1 {
			t.Errorf("%d notices of a disk that stays full", n)
		}
		w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.DiskFree = gib })
		w.pass(20 * time.Second)
		w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.DiskFree = 0 })
		w.pass(2 * time.Second)
		if n := len(r.notices("disk")); n != 2 {
			t.Errorf("%d notices of a disk that was full, freed and full again", n)
		}
	})
}

// TestNoticeOfProcessesIsNotLate: a fork bomb that is ended soon after its notice gives no other one when nothing of it is left.
func TestNoticeOfProcessesIsNotLate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		r := w.watch(c.ID)
		refuse := func() { w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.PIDsRefused += 100 }) }
		for range 5 {
			refuse()
			w.pass(time.Second)
		}
		w.pass(30 * time.Second)
		if n := r.notices("pids"); len(n) != 1 {
			t.Errorf("told %q, want one notice", n)
		}
		for range 15 { // one that goes on is told again
			refuse()
			w.pass(time.Second)
		}
		if n := r.notices("pids"); len(n) != 3 {
			t.Errorf("told %q, want three notices", n)
		}
	})
}

func TestNoticesAreNotRepeatedByTheNextServer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{})
		w.pass(time.Second)
		w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.OOMKills = 5 })
		w.pass(10 * time.Second)
		w.restart()
		r := w.watch(c.ID)
		w.pass(10 * time.Second)
		if n := r.notices("memory"); len(n) != 0 {
			t.Errorf("told again: %q", n)
		}
		w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.OOMKills++ })
		w.pass(2 * time.Second)
		if n := r.notices("memory"); len(n) != 1 || !strings.Contains(n[0], "a process was") {
			t.Errorf("told %q", n)
		}
	})
}

// Nobody reads the channel for an hour: nothing waits for it, and the newest state is there in the end.
func TestSlowListener(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		c := w.create(sessions.Request{Lifetime: time.Hour})
		events, err := w.m.Events(t.Context(), operator, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			w.launcher.SetUsage(c.ID, func(u *quotas.Usage) { u.OOMKills++ })
			w.pass(10 * time.Second)
			if _, err := w.m.Extend(t.Context(), operator, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		w.end(c.ID)
		w.pass(time.Second)
		w.want(c.ID, sessions.Ended, sessions.Admin)
		n, usage := 0, 0
		var last sessions.Event
		for e := range events {
			n++
			if e.Type == sessions.EventUsage {
				usage++
			}
			last = e
		}
		if n < 10 || n > 70 || usage > 2 || last.Session == nil || last.Session.State != sessions.Ended {
			t.Errorf("%d events, %d of usage, the last is %+v", n, usage, last)
		}
	})
}
