package sandbox

import (
	"context"
	"fmt"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"berth/sessions"
)

// Capacity says what this host has: processors that this server may use, memory, and disk less the reserve.
func (l *Launcher) Capacity(context.Context) (sessions.Capacity, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(l.disksDir(), &fs); err != nil {
		return sessions.Capacity{}, fmt.Errorf("free disk of %s: %w", l.disksDir(), err)
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		return sessions.Capacity{}, fmt.Errorf("memory of the host: %w", err)
	}
	return sessions.Capacity{
		CPUs:        float64(goruntime.NumCPU()),
		MemoryBytes: int64(host.Totalram) * int64(host.Unit),         // below 2^63
		DiskFree:    max(0, int64(fs.Bavail)*fs.Bsize-l.DiskReserve), // below 2^63
	}, nil
}
