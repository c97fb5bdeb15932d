package cgroup

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"berth/quotas"
)

// tally keeps counters that are sums over groups growing when one of them is removed. What it remembers is bounded by the
// groups that are there: the sandbox can make and remove them for ever.
type tally struct {
	mu   sync.Mutex
	last map[string]map[string]int64 // by file, then group: the value now
	gone map[string]int64            // by file: what removed groups have counted
}

// sum records the values of a file now and returns the sum of all ever seen.
func (t *tally) sum(file string, now map[string]int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last, t.gone = map[string]map[string]int64{}, map[string]int64{}
	}
	for path, n := range t.last[file] {
		if again, ok := now[path]; !ok || again < n { // a new group of an old name starts at 0
			t.gone[file] += n
		}
	}
	t.last[file] = now
	total := t.gone[file]
	for _, n := range now {
		total += n
	}
	return total
}

// Usage reads what the group holds: CPU, MemoryBytes, OOMKills, PIDs and PIDsRefused. Counters of version 1 include those
// of groups that the sandbox removed meanwhile, as far as an earlier call on the same Group saw them.
func (g *Group) Usage() (quotas.Usage, error) {
	u := quotas.Usage{At: time.Now()}
	var errs [5]error
	u.CPU, errs[0] = g.cpu()
	u.MemoryBytes, errs[1] = g.memory()
	u.OOMKills, errs[2] = g.oomKills()
	u.PIDs, errs[3] = readInt(g.dir("pids"), "pids.current")
	u.PIDsRefused, errs[4] = g.pidsRefused()
	return u, errors.Join(errs[:]...)
}

func (g *Group) cpu() (time.Duration, error) {
	if g.Version == 2 {
		us, err := readKey(g.dir("cpu"), "cpu.stat", "usage_usec")
		return time.Duration(us) * time.Microsecond, err
	}
	dir := g.dir("cpuacct")
	if dir == "" {
		return 0, nil // no cpuacct in this kernel: not counted
	}
	ns, err := readInt(dir, "cpuacct.usage")
	return time.Duration(ns), err
}

// memory is what is in use without the file cache that the kernel would give back first, as `docker stats` counts it.
func (g *Group) memory() (int64, error) {
	file, key := "memory.current", "inactive_file"
	if g.Version == 1 {
		file, key = "memory.usage_in_bytes", "total_inactive_file"
	}
	used, err := readInt(g.dir("memory"), file)
	if err != nil {
		return 0, err
	}
	cache, err := readKey(g.dir("memory"), "memory.stat", key)
	return max(0, used-cache), err
}

func (g *Group) oomKills() (int64, error) {
	dir := g.dir("memory")
	if g.Version == 2 {
		return readKey(dir, "memory.events", "oom_kill") // counts the groups below too
	}
	return g.sumTree(dir, "memory.oom_control", "oom_kill")
}

// pidsRefused counts refused forks. Where pids.events.local exists (kernel 6.11, version 2) pids.events counts those that
// this group's limit refused; before, and on version 1, each group counts the forks refused to its own processes.
func (g *Group) pidsRefused() (int64, error) {
	dir := g.dir("pids")
	if g.Version == 2 && exists(filepath.Join(dir, "pids.events.local")) {
		return readKey(dir, "pids.events", "max")
	}
	return g.sumTree(dir, "pids.events", "max")
}

func (g *Group) sumTree(dir, file, key string) (int64, error) {
	now := map[string]int64{}
	for i, path := range tree(dir) {
		n, err := readKey(path, file, key)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue // removed meanwhile
		} else if err != nil {
			return 0, err
		}
		now[path] = n
	}
	if len(now) == 0 {
		return 0, fs.ErrNotExist
	}
	return g.seen.sum(file, now), nil
}
