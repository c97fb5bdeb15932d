package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Below these there is room for few sessions.
const (
	littleDisk   = 10 << 30
	littleMemory = 1 << 30
)

func space(_ context.Context, c Config) []Check {
	check := Check{Name: "disk", Must: true, Status: OK}
	dir := existing(c.DataDir)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		check.Status, check.Detail = Missing, fmt.Sprintf("%s: %v", dir, err)
		return []Check{check}
	}
	free := int64(st.Bavail) * st.Bsize
	check.Detail = fmt.Sprintf("%s free for %s", gib(free), c.DataDir)
	switch {
	case free < c.Reserve:
		check.Status, check.Mend = Missing, fmt.Sprintf("free %s, or choose another --data-dir", gib(c.Reserve-free))
	case free < littleDisk:
		check.Status = Degraded
		check.Detail += ": room for few sessions"
	}
	return []Check{check}
}

func memory(context.Context, Config) []Check {
	check := Check{Name: "memory", Status: OK}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		check.Status, check.Detail = Degraded, err.Error()
		return []Check{check}
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "MemAvailable:" {
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			continue
		}
		check.Detail = gib(kib<<10) + " available"
		if kib<<10 < littleMemory {
			check.Status = Degraded
			check.Detail += ": room for few sessions"
		}
	}
	return []Check{check}
}

// existing is the directory itself or the nearest above that is there.
func existing(dir string) string {
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
