package container

import (
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/oci"
)

// sampleUnified reads version 2's files: Documentation/admin-guide/cgroup-v2.
func sampleUnified(g *oci.Cgroups, group string, s *api.StatsResponse) {
	t := g.Table("cpu", group, "cpu.stat")
	const micro = 1000 // nanoseconds
	s.CPUStats.CPUUsage = api.CPUUsage{
		TotalUsage: t["usage_usec"] * micro, UsageInUsermode: t["user_usec"] * micro, UsageInKernelmode: t["system_usec"] * micro,
	}
	s.CPUStats.ThrottlingData = api.ThrottlingData{
		Periods: t["nr_periods"], ThrottledPeriods: t["nr_throttled"], ThrottledTime: t["throttled_usec"] * micro,
	}
	m := &s.MemoryStats
	m.Usage, _ = g.Number("memory", group, "memory.current")
	m.Limit, _ = g.Number("memory", group, "memory.max")
	m.Stats = g.Table("memory", group, "memory.stat")
	m.Failcnt = g.Table("memory", group, "memory.events")["oom"]
	s.PidsStats.Current, _ = g.Number("pids", group, "pids.current")
	s.PidsStats.Limit, _ = g.Number("pids", group, "pids.max")
	s.BlkioStats.IoServiceBytesRecursive = ioStat(g, group)
}

// ioStat reads lines "MAJOR:MINOR rbytes=N wbytes=N …".
func ioStat(g *oci.Cgroups, group string) []api.BlkioStatEntry {
	text, err := g.Read("io", group, "io.stat")
	if err != nil {
		return nil
	}
	var out []api.BlkioStatEntry
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		major, minor, ok := deviceOf(f[0])
		if !ok {
			continue
		}
		for _, kv := range f[1:] {
			key, value, _ := strings.Cut(kv, "=")
			op, ok := map[string]string{"rbytes": "read", "wbytes": "write"}[key]
			n, err := strconv.ParseUint(value, 10, 64)
			if ok && err == nil {
				out = append(out, api.BlkioStatEntry{Major: major, Minor: minor, Op: op, Value: n})
			}
		}
	}
	return out
}
