package container

import (
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/oci"
)

// sampleV1 reads version 1's files: Documentation/admin-guide/cgroup-v1. What a controller would tell that is not there
// stays zero.
func sampleV1(g *oci.Cgroups, group string, s *api.StatsResponse) {
	cpu := &s.CPUStats.CPUUsage
	cpu.TotalUsage, _ = g.Number("cpuacct", group, "cpuacct.usage")
	if each, err := g.Read("cpuacct", group, "cpuacct.usage_percpu"); err == nil {
		for v := range strings.FieldsSeq(each) {
			n, _ := strconv.ParseUint(v, 10, 64)
			cpu.PercpuUsage = append(cpu.PercpuUsage, n)
		}
	}
	split := g.Table("cpuacct", group, "cpuacct.stat")
	const tick = uint64(time.Second) / ticks
	cpu.UsageInUsermode, cpu.UsageInKernelmode = split["user"]*tick, split["system"]*tick
	t := g.Table("cpu", group, "cpu.stat")
	s.CPUStats.ThrottlingData = api.ThrottlingData{
		Periods: t["nr_periods"], ThrottledPeriods: t["nr_throttled"], ThrottledTime: t["throttled_time"],
	}
	m := &s.MemoryStats
	m.Usage, _ = g.Number("memory", group, "memory.usage_in_bytes")
	m.MaxUsage, _ = g.Number("memory", group, "memory.max_usage_in_bytes")
	m.Failcnt, _ = g.Number("memory", group, "memory.failcnt")
	m.Limit, _ = g.Number("memory", group, "memory.limit_in_bytes")
	m.Stats = g.Table("memory", group, "memory.stat")
	s.PidsStats.Current, _ = g.Number("pids", group, "pids.current")
	s.PidsStats.Limit, _ = g.Number("pids", group, "pids.max")
	s.BlkioStats.IoServiceBytesRecursive = blkioV1(g, group, "blkio.throttle.io_service_bytes_recursive")
	s.BlkioStats.IoServicedRecursive = blkioV1(g, group, "blkio.throttle.io_serviced_recursive")
}

// blkioV1 reads lines "MAJOR:MINOR OPERATION VALUE".
func blkioV1(g *oci.Cgroups, group, file string) []api.BlkioStatEntry {
	text, err := g.Read("blkio", group, file)
	if err != nil {
		return nil
	}
	var out []api.BlkioStatEntry
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue // the total
		}
		major, minor, ok := deviceOf(f[0])
		n, err := strconv.ParseUint(f[2], 10, 64)
		if ok && err == nil {
			out = append(out, api.BlkioStatEntry{Major: major, Minor: minor, Op: f[1], Value: n})
		}
	}
	return out
}

func deviceOf(s string) (major, minor uint64, ok bool) {
	a, b, _ := strings.Cut(s, ":")
	major, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.ParseUint(b, 10, 64)
	return major, minor, err == nil
}
