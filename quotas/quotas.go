// Package quotas says what a sandbox and a visitor may hold, and what a sandbox is holding. The mechanisms that
// make it true are its subpackages: cgroup, disk and network. This package imports nothing of ours.
package quotas

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Smallest values that a sandbox can work with.
const (
	MinMemoryBytes = 64 << 20
	MinPIDs        = 64
	MinDiskBytes   = 64 << 20
	MinDiskInodes  = 4096
)

// Largest values that a kernel takes.
const (
	MaxCPUs = 8192    // CONFIG_NR_CPUS at most
	MaxPIDs = 4 << 20 // PID_MAX_LIMIT
)

// Limits bound one sandbox, its engine included.
type Limits struct {
	CPUs        float64 `json:"cpus" yaml:"cpus"`                 // cores, e.g. 0.5; the cpuset holds ceil(CPUs) of them
	MemoryBytes int64   `json:"memory_bytes" yaml:"memory_bytes"` // memory and swap together
	PIDs        int64   `json:"pids" yaml:"pids"`                 // tasks
	DiskBytes   int64   `json:"disk_bytes" yaml:"disk_bytes"`
	DiskInodes  int64   `json:"disk_inodes" yaml:"disk_inodes"`
	Bandwidth   int64   `json:"bandwidth" yaml:"bandwidth"` // bits per second, each way; 0: no limit
	Terminals   int     `json:"terminals" yaml:"terminals"`
	Egress      Egress  `json:"egress" yaml:"egress"`
}

// Egress says what a sandbox may reach. Private, link-local, metadata and the host's own addresses are always denied.
type Egress struct {
	Deny                 bool     `json:"deny" yaml:"deny"`                                     // nothing outside at all
	Ports                []string `json:"ports,omitempty" yaml:"ports"`                         // "443", "8000-8999", "53/udp"; empty: every port
	ConnectionsPerSecond int      `json:"connections_per_second" yaml:"connections_per_second"` // new connections; 0: no limit
}

// Validate reports the first limit that cannot work, by its name.
func (l Limits) Validate() error {
	switch {
	case l.CPUs <= 0 || l.CPUs > MaxCPUs || math.IsNaN(l.CPUs):
		return fmt.Errorf("cpus is %v: it must be more than 0, and at most %d", l.CPUs, MaxCPUs)
	case l.MemoryBytes < MinMemoryBytes:
		return fmt.Errorf("memory is %d bytes: the least is %d", l.MemoryBytes, int64(MinMemoryBytes))
	case l.PIDs < MinPIDs:
		return fmt.Errorf("pids is %d: the least is %d", l.PIDs, MinPIDs)
	case l.PIDs > MaxPIDs:
		return fmt.Errorf("pids is %d: the most is %d", l.PIDs, MaxPIDs)
	case l.DiskBytes < MinDiskBytes:
		return fmt.Errorf("disk is %d bytes: the least is %d", l.DiskBytes, int64(MinDiskBytes))
	case l.DiskInodes < MinDiskInodes:
		return fmt.Errorf("disk inodes is %d: the least is %d", l.DiskInodes, MinDiskInodes)
	case l.Bandwidth < 0:
		return errors.New("bandwidth is negative")
	case l.Terminals < 1:
		return errors.New("terminals must be at least 1")
	case l.Egress.ConnectionsPerSecond < 0:
		return errors.New("egress connections_per_second is negative")
	}
	_, err := ParsePorts(l.Egress.Ports)
	return err
}

// Usage is what a sandbox holds at one moment. Counters only grow.
type Usage struct {
	At            time.Time     `json:"at"`
	CPU           time.Duration `json:"cpu_ns"`         // processor time used since the start
	MemoryBytes   int64         `json:"memory_bytes"`   // without reclaimable file cache
	OOMKills      int64         `json:"oom_kills"`      // counter: processes ended for lack of memory
	OOMVictim     string        `json:"oom_victim"`     // command name of the last of them; empty when not known
	PIDs          int64         `json:"pids"`           // tasks now
	PIDsRefused   int64         `json:"pids_refused"`   // counter: forks refused
	DiskBytes     int64         `json:"disk_bytes"`     // used
	DiskFree      int64         `json:"disk_free"`      // bytes left to the visitor
	DiskInodes    int64         `json:"disk_inodes"`    // used
	InodesFree    int64         `json:"inodes_free"`    //
	ReceivedBytes int64         `json:"received_bytes"` // counter, by the sandbox
	SentBytes     int64         `json:"sent_bytes"`     // counter, by the sandbox
	EgressDenied  int64         `json:"egress_denied"`  // counter: packets that policy dropped
}
