package container

import (
	"bufio"
	"context"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"
)

// statsInterval is the time between two samples. Docker's.
const statsInterval = time.Second

// Stats calls emit with what a container uses, every second until ctx ends or the container has been removed; once where stream
// is false: then after two samples, a second apart, so that a percentage can be told, or with oneShot at once.
func (m *Manager) Stats(ctx context.Context, ref string, stream, oneShot bool, emit func(api.StatsResponse) error) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	last := m.sample(c)
	if !stream && (oneShot || last.Read.IsZero()) {
		return emit(last)
	}
	if stream {
		if err := emit(last); err != nil {
			return err
		}
	}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-m.ctx.Done():
			return nil
		}
		if _, err := m.Get(c.id); err != nil {
			return nil // it has been removed: the stream is over
		}
		s := m.sample(c)
		s.PreCPUStats, s.PreRead = last.CPUStats, last.Read
		if err := emit(s); err != nil || !stream {
			return err
		}
		last = s
	}
}

// sample is what a container uses now; of one that does not run only its name.
func (m *Manager) sample(c *Container) api.StatsResponse {
	c.mu.Lock()
	s := api.StatsResponse{ID: c.id, Name: "/" + c.rec.Name, OSType: "linux"}
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return s
	}
	s.Read = time.Now().UTC()
	s.CPUStats.SystemUsage, s.CPUStats.OnlineCPUs = systemTime(), uint32(goruntime.NumCPU())
	g := m.o.Runtime.Cgroups
	if g.Unified {
		sampleUnified(g, r.group, &s)
	} else {
		sampleV1(g, r.group, &s)
	}
	if total := memoryTotal(); s.MemoryStats.Limit == 0 || s.MemoryStats.Limit > total {
		s.MemoryStats.Limit = m.memoryLimit(total)
	}
	if r.netns != "" {
		s.Networks = interfaces(r.process.PID)
	}
	return s
}

// memoryLimit is what all containers may have together, in bytes.
func (m *Manager) memoryLimit(total uint64) uint64 {
	file := "memory.limit_in_bytes"
	if m.o.Runtime.Cgroups.Unified {
		file = "memory.max"
	}
	if limit, err := strconv.ParseUint(m.o.Runtime.Cgroups.Limit("memory", file), 10, 64); err == nil {
		return min(limit, total)
	}
	return total
}

// systemTime is the time that all processors have spent, in nanoseconds: proc_stat(5).
func systemTime() uint64 {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return 0
	}
	fields := strings.Fields(line)
	var sum uint64
	for i, v := range fields {
		if i == 0 || i > 7 { // guest time is counted in user time already
			continue
		}
		n, _ := strconv.ParseUint(v, 10, 64)
		sum += n
	}
	return sum * uint64(time.Second) / ticks
}

// memoryTotal is the machine's memory in bytes.
func memoryTotal() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	kib, _ := strconv.ParseUint(f[1], 10, 64)
	return kib << 10
}

// interfaces are the counters of a container's network, seen from its first process: proc_pid_net(5).
func interfaces(pid int) map[string]api.NetworkStats {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	if err != nil {
		return nil
	}
	out := map[string]api.NetworkStats{}
	for line := range strings.Lines(string(b)) {
		name, counters, ok := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(counters)
		if !ok || len(f) < 12 || name == "lo" {
			continue
		}
		n := make([]uint64, len(f))
		for i, v := range f {
			n[i], _ = strconv.ParseUint(v, 10, 64)
		}
		out[name] = api.NetworkStats{
			RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11],
		}
	}
	return out
}
