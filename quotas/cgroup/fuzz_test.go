package cgroup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth/quotas/cgroup"
)

// FuzzParseCPUs: a list that is read and written is the same list.
func FuzzParseCPUs(f *testing.F) {
	for _, s := range []string{"0-2,7", "0\n", "", ",", "3-1", "-1", "1-", "0-65536", "0-65537", "9223372036854775807-9223372036854775808", "+1", "0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := cgroup.ParseCPUs(s)
		if err != nil {
			return
		}
		for _, c := range cpus {
			if c < 0 || c > 1<<16 {
				t.Fatalf("%q holds %d", s, c)
			}
		}
		if again, err := cgroup.ParseCPUs(cgroup.FormatCPUs(cpus)); err != nil || !slices.Equal(cpus, again) {
			t.Errorf("%q is %v, then %v, %v", s, cpus, again, err)
		}
	})
}

// FuzzReadKey: a number comes from a line of the file that says so.
func FuzzReadKey(f *testing.F) {
	for _, s := range []string{
		"usage_usec 12\nuser_usec 3\n", "usage_usec", "usage_usec \n", "usage_usec -1\n", "usage_usec 9223372036854775808", "usage_usec max",
		"xusage_usec 1\nusage_usec 2", "usage_usec  2", "usage_usec 1\nusage_usec 2", " usage_usec 5 ", "\x00",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, s string) {
		if err := os.WriteFile(filepath.Join(dir, "cpu.stat"), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := cgroup.ReadKey(dir, "cpu.stat", "usage_usec")
		if err != nil || n == 0 {
			return
		}
		if !slices.ContainsFunc(strings.Split(s, "\n"), func(line string) bool {
			fields := strings.Fields(line)
			if len(fields) != 2 || fields[0] != "usage_usec" {
				return false
			}
			m, err := strconv.ParseInt(fields[1], 10, 64)
			return err == nil && m == n
		}) {
			t.Errorf("%q gives %d", s, n)
		}
	})
}

// FuzzUsage: a group whose files hold anything gives an error, never nonsense that ends the server.
func FuzzUsage(f *testing.F) {
	f.Add("1", "10\n", "usage_usec 5\ninactive_file 3\noom_kill 1\nmax 2\n")
	f.Add("2", "max", "oom_kill_disable 0\nunder_oom 0\noom_kill 1")
	f.Add("2", "", "")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, version, number, keys string) {
		for file, content := range map[string]string{
			"cpuacct.usage": number, "memory.current": number, "memory.usage_in_bytes": number, "pids.current": number,
			"cpu.stat": keys, "memory.stat": keys, "memory.events": keys, "memory.oom_control": keys, "pids.events": keys,
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g := &cgroup.Group{Version: 1, Dirs: []cgroup.Dir{{Path: dir, Controllers: []string{"cpu", "cpuacct", "memory", "pids"}}}}
		if version == "2" {
			g.Version = 2
		}
		if u, err := g.Usage(); err == nil && u.MemoryBytes < 0 {
			t.Errorf("%q and %q give %+v", number, keys, u)
		}
	})
}

// FuzzDetect reads /proc/self/mountinfo and /proc/self/cgroup: what is found is below a mount point, and that below root.
func FuzzDetect(f *testing.F) {
	f.Add("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate\n", "0::/user.slice\n")
	f.Add("30 23 0:26 /a /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct", "4:cpu,cpuacct:/a/b\n0::/\n")
	f.Add("30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup rw", "0::/../../b:c")
	f.Add("30 23 0:26 / /sys/fs/cgroups rw - cgroup2 cgroup rw", "0:")
	f.Fuzz(func(t *testing.T, mountinfo, list string) {
		const root = "/sys/fs/cgroup"
		for _, own := range cgroup.ParseOwn(list) {
			dirs, err := cgroup.Placed(mountinfo, root, own)
			if err != nil {
				return
			}
			for point, dir := range dirs {
				if point != filepath.Clean(point) {
					continue // the kernel's are clean
				}
				if !below(root, point) || !below(point, dir) {
					t.Errorf("own group %q: %s at mount point %s", own, dir, point)
				}
			}
		}
	})
}

func below(dir, path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// FuzzTally adds up counters of groups that come and go, a byte each: a counter never falls, and what was counted last is
// in it.
func FuzzTally(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x01\x00"))
	f.Add([]byte("aAbBcC"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		var tally cgroup.Tally
		var before int64
		for i := 0; i+2 < len(steps); i += 3 {
			now := map[string]int64{"top": 0, string(steps[i]): int64(steps[i+1]), "again": int64(steps[i+2])}
			sum := tally.Sum("pids.events", now)
			if least := int64(steps[i+1]) + int64(steps[i+2]); sum < before || sum < least {
				t.Fatalf("%v: the sum is %d after %d", now, sum, before)
			}
			before = sum
		}
		if n := tally.Remembered(); n > 4 {
			t.Errorf("%d values are held", n)
		}
	})
}

// TestCountersOfGroupsThatAreGone: what a removed group had counted stays counted, also when its name comes back; and a
// sandbox that makes and removes groups for ever takes none of the server's memory.
func TestCountersOfGroupsThatAreGone(t *testing.T) {
	var tally cgroup.Tally
	for i, step := range []struct {
		now  map[string]int64
		want int64
	}{
		{map[string]int64{"/": 1}, 1},
		{map[string]int64{"/": 1, "/a": 4}, 5},
		{map[string]int64{"/": 2}, 6},
		{map[string]int64{"/": 2, "/a": 7}, 13}, // another a
		{map[string]int64{"/": 2, "/a": 1}, 14}, // and another
	} {
		if got := tally.Sum("pids.events", step.now); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	for i := range 10_000 {
		tally.Sum("pids.events", map[string]int64{"/": 2, "/" + strconv.Itoa(i): 0})
	}
	if n := tally.Remembered(); n > 3 {
		t.Errorf("%d values are held of 2 groups", n)
	}
}
