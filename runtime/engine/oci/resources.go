package oci

import (
	"strconv"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// cpuPeriod is the scheduler period, in µs, in which --cpus is told to the kernel. Docker's.
const cpuPeriod = 100_000

// Resources translates Docker's limits, which have been checked, for the controllers that are there.
func (c *Cgroups) Resources(r container.Resources) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if c.Has("memory") {
		out.Memory = c.memory(r)
	}
	if c.Has("cpu") || c.Has("cpuset") {
		out.CPU = c.cpu(r)
	}
	if c.Has("pids") && r.PidsLimit != nil {
		limit := *r.PidsLimit
		if limit <= 0 {
			limit = -1 // unlimited, below the session's own limit
		}
		out.Pids = &specs.LinuxPids{Limit: &limit}
	}
	if c.Has("blkio") {
		out.BlockIO = blockIO(r)
	}
	return out
}

func (c *Cgroups) memory(r container.Resources) *specs.LinuxMemory {
	m := &specs.LinuxMemory{DisableOOMKiller: r.OomKillDisable}
	if r.Memory > 0 {
		m.Limit = &r.Memory
	}
	if r.MemoryReservation > 0 {
		m.Reservation = &r.MemoryReservation
	}
	if r.MemorySwap != 0 && c.HasSwap() { // without the file even "unlimited" cannot be said
		m.Swap = &r.MemorySwap
	}
	if r.MemorySwappiness != nil && *r.MemorySwappiness >= 0 {
		s := uint64(*r.MemorySwappiness)
		m.Swappiness = &s
	}
	return m
}

func (c *Cgroups) cpu(r container.Resources) *specs.LinuxCPU {
	cpu := &specs.LinuxCPU{}
	if c.Has("cpuset") {
		cpu.Cpus, cpu.Mems = r.CpusetCpus, r.CpusetMems
	}
	if !c.Has("cpu") {
		return cpu
	}
	if r.CPUShares > 0 {
		shares := uint64(r.CPUShares)
		cpu.Shares = &shares
	}
	period, quota := uint64(r.CPUPeriod), r.CPUQuota
	if r.NanoCPUs > 0 {
		period, quota = cpuPeriod, r.NanoCPUs*cpuPeriod/1e9
	}
	if period > 0 {
		cpu.Period = &period
	}
	if quota != 0 {
		quota = c.withinParent(quota, period)
		cpu.Quota = &quota
	}
	return cpu
}

// withinParent keeps a quota to what the sandbox itself has: version 1 refuses a child more than its parent with EINVAL,
// while version 2 takes the smaller one by itself.
func (c *Cgroups) withinParent(quota int64, period uint64) int64 {
	if period == 0 {
		period = cpuPeriod
	}
	for _, group := range []string{boot.Payload, ""} {
		all, ok := c.Number("cpu", group, "cpu.cfs_quota_us")
		each, has := c.Number("cpu", group, "cpu.cfs_period_us")
		if ok && has && each > 0 && quota > 0 {
			quota = min(quota, int64(all*period/each))
		}
	}
	return quota
}

func blockIO(r container.Resources) *specs.LinuxBlockIO {
	b := &specs.LinuxBlockIO{
		ThrottleReadBpsDevice:   throttles(r.BlkioDeviceReadBps),
		ThrottleWriteBpsDevice:  throttles(r.BlkioDeviceWriteBps),
		ThrottleReadIOPSDevice:  throttles(r.BlkioDeviceReadIOps),
		ThrottleWriteIOPSDevice: throttles(r.BlkioDeviceWriteIOps),
	}
	if r.BlkioWeight > 0 {
		b.Weight = &r.BlkioWeight
	}
	for _, w := range r.BlkioWeightDevice {
		if major, minor, ok := deviceNumber(w.Path); ok {
			d := specs.LinuxWeightDevice{Weight: &w.Weight}
			d.Major, d.Minor = major, minor
			b.WeightDevice = append(b.WeightDevice, d)
		}
	}
	return b
}

func throttles(devices []*blkiodev.ThrottleDevice) []specs.LinuxThrottleDevice {
	var out []specs.LinuxThrottleDevice
	for _, t := range devices {
		if major, minor, ok := deviceNumber(t.Path); ok {
			d := specs.LinuxThrottleDevice{Rate: t.Rate}
			d.Major, d.Minor = major, minor
			out = append(out, d)
		}
	}
	return out
}

// deviceNumber finds a block device. One that is not in the sandbox was refused before.
func deviceNumber(path string) (major, minor int64, ok bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, false
	}
	return int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), true
}

// Limit reads a limit of the sandbox itself, "" where there is none.
func (c *Cgroups) Limit(controller, file string) string {
	s, err := c.Read(controller, boot.Payload, file)
	if err != nil || s == "max" || s == strconv.Itoa(-1) {
		return ""
	}
	return s
}
