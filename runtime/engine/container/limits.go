package container

import (
	goruntime "runtime"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
)

// minMemory is the least that a container may be limited to, in bytes. Docker's.
const minMemory = 6 << 20

// checkResources refuses limits that cannot be, and takes away those whose controller is not there, with Docker's warnings.
func (m *Manager) checkResources(r *api.Resources, update bool) (warnings []string, err error) {
	for _, check := range []func(*api.Resources, bool) ([]string, error){m.checkMemory, m.checkCPU, m.checkOthers} {
		w, err := check(r, update)
		warnings = append(warnings, w...)
		if err != nil {
			return warnings, err
		}
	}
	return warnings, nil
}

const notMounted = "or the cgroup is not mounted. "

func (m *Manager) checkMemory(r *api.Resources, update bool) (warnings []string, _ error) {
	groups := m.o.Runtime.Cgroups
	if r.MemorySwappiness != nil && *r.MemorySwappiness == -1 {
		r.MemorySwappiness = nil
	}
	if r.Memory != 0 && r.Memory < minMemory {
		return nil, invalid("Minimum memory limit allowed is 6MB")
	}
	if r.Memory > 0 && !groups.Has("memory") {
		warnings = append(warnings, "Your kernel does not support memory limit capabilities "+notMounted+"Limitation discarded.")
		r.Memory, r.MemorySwap = 0, -1
	}
	if r.Memory > 0 && r.MemorySwap != -1 && !groups.HasSwap() {
		if r.MemorySwap > 0 || update {
			warnings = append(warnings, "Your kernel does not support swap limit capabilities "+notMounted+"Memory limited without swap.")
		}
		r.MemorySwap = -1
	}
	switch {
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return warnings, invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0 && !update:
		return warnings, invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemorySwappiness != nil && (*r.MemorySwappiness < 0 || *r.MemorySwappiness > 100):
		return warnings, invalid("Invalid value: %v, valid memory swappiness range is 0-100", *r.MemorySwappiness)
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return warnings, invalid("Minimum memory reservation allowed is 6MB")
	case r.Memory > 0 && r.MemoryReservation > r.Memory:
		return warnings, invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	}
	if r.MemorySwappiness != nil && (groups.Unified || !groups.Has("memory")) {
		warnings = append(warnings, "Your kernel does not support memory swappiness capabilities "+notMounted+"Memory swappiness discarded.")
		r.MemorySwappiness = nil
	}
	if r.OomKillDisable != nil && (groups.Unified || !groups.Has("memory")) {
		if *r.OomKillDisable {
			warnings = append(warnings, "Your kernel does not support OomKillDisable. OomKillDisable discarded.")
		}
		r.OomKillDisable = nil
	}
	if r.OomKillDisable != nil && *r.OomKillDisable && r.Memory == 0 {
		warnings = append(warnings, "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.")
	}
	return warnings, nil
}

func (m *Manager) checkCPU(r *api.Resources, _ bool) (warnings []string, _ error) {
	groups := m.o.Runtime.Cgroups
	cpus := goruntime.NumCPU()
	switch {
	case r.NanoCPUs > 0 && r.CPUPeriod > 0:
		return nil, invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs > 0 && r.CPUQuota > 0:
		return nil, invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs > 0 && !groups.Has("cpu"):
		return nil, invalid("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")
	case r.NanoCPUs < 0 || r.NanoCPUs > int64(cpus)*1e9:
		return nil, invalid("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", cpus)
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1_000_000):
		return nil, invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000:
		return nil, invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	}
	if r.CPUShares < 0 {
		return nil, invalid("invalid CPU shares (%d): value must be a positive integer", r.CPUShares)
	}
	if !groups.Has("cpu") && (r.CPUShares > 0 || r.CPUPeriod != 0 || r.CPUQuota != 0) {
		warnings = append(warnings, "Your kernel does not support CPU CFS scheduler. CPU shares/period/quota discarded.")
		r.CPUShares, r.CPUPeriod, r.CPUQuota = 0, 0, 0
	}
	if !groups.Has("cpuset") && (r.CpusetCpus != "" || r.CpusetMems != "") {
		warnings = append(warnings, "Your kernel does not support cpuset "+notMounted+"Cpuset discarded.")
		r.CpusetCpus, r.CpusetMems = "", ""
	}
	for _, set := range []struct{ asked, has, word, what string }{
		{r.CpusetCpus, groups.Available("cpuset.cpus"), "cpus", "CPUs"}, {r.CpusetMems, groups.Available("cpuset.mems"), "mems", "memory nodes"},
	} {
		want, err := parseSet(set.asked)
		if err != nil {
			return warnings, invalid("Invalid value %s for cpuset %s", set.asked, set.word)
		}
		have, err := parseSet(set.has)
		if err != nil || set.asked == "" || set.has == "" {
			continue
		}
		for n := range want {
			if !have[n] {
				return warnings, invalid("Requested %s are not available - requested %s, available: %s", set.what, set.asked, set.has)
			}
		}
	}
	return warnings, nil
}

func (m *Manager) checkOthers(r *api.Resources, _ bool) (warnings []string, _ error) {
	groups := m.o.Runtime.Cgroups
	if r.PidsLimit != nil && !groups.Has("pids") {
		if *r.PidsLimit > 0 {
			warnings = append(warnings, "Your kernel does not support PIDs limit capabilities "+notMounted+"PIDs limit discarded.")
		}
		r.PidsLimit = nil
	}
	if r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000) {
		return warnings, invalid("Range of blkio weight is from 10 to 1000")
	}
	if r.BlkioWeight > 0 && !groups.HasWeight() {
		warnings = append(warnings, "Your kernel does not support Block I/O weight "+notMounted+"Weight discarded.")
		r.BlkioWeight = 0
	}
	if len(r.BlkioWeightDevice) > 0 && !groups.HasWeight() {
		warnings = append(warnings, "Your kernel does not support Block I/O weight_device "+notMounted+"Weight-device discarded.")
		r.BlkioWeightDevice = nil
	}
	throttled := len(r.BlkioDeviceReadBps) + len(r.BlkioDeviceWriteBps) + len(r.BlkioDeviceReadIOps) + len(r.BlkioDeviceWriteIOps)
	if throttled > 0 && !groups.Has("blkio") {
		warnings = append(warnings, "Your kernel does not support Block I/O limits "+notMounted+"Block I/O limits discarded.")
		r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps, r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps = nil, nil, nil, nil
	}
	return warnings, nil
}

// maxCPU bounds the numbers in a set: one writes 0-4294967295 in a moment.
const maxCPU = 8192

// parseSet reads a list such as 0-2,4: cpuset(7).
func parseSet(s string) (map[int]bool, error) {
	set := map[int]bool{}
	if s == "" {
		return set, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		low, high, ranged := strings.Cut(part, "-")
		a, err := strconv.Atoi(strings.TrimSpace(low))
		b := a
		if err == nil && ranged {
			b, err = strconv.Atoi(strings.TrimSpace(high))
		}
		if err != nil {
			return nil, err
		}
		if a < 0 || b < a || b > maxCPU {
			return nil, strconv.ErrRange
		}
		for n := a; n <= b; n++ {
			set[n] = true
		}
	}
	return set, nil
}
