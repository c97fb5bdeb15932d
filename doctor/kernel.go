package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/quotas/cgroup"
)

// minKernel is the first with overlay on idmapped mounts.
var minKernel = version{5, 19, 0}

func kernel(context.Context, Config) []Check {
	c := Check{Name: "kernel", Must: true, Status: OK}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		c.Status, c.Detail = Missing, err.Error()
		return []Check{c}
	}
	c.Detail = unix.ByteSliceToString(u.Release[:])
	if v, err := parseVersion(c.Detail); err != nil || v.less(minKernel) {
		c.Status, c.Detail = Missing, c.Detail+" is older than 5.19, the first with overlay on idmapped mounts"
		c.Mend = "boot a newer kernel, e.g. of Debian 12 or Ubuntu 22.04 HWE"
	}
	return []Check{c}
}

func controlGroups(context.Context, Config) []Check {
	c := Check{Name: "cgroups", Must: true, Status: OK}
	host, err := cgroup.Detect("/sys/fs/cgroup")
	switch {
	case err != nil:
		c.Status, c.Detail = Missing, err.Error()
		c.Mend = "boot with cgroup_enable=memory systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
	case host.Version == 1 && !exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes") && hasSwap():
		c.Status, c.Detail = Degraded, "version 1 without swap accounting: a sandbox may swap beyond its memory limit"
		c.Mend = "boot with swapaccount=1, or swapoff -a"
	default:
		c.Detail = fmt.Sprintf("version %d: %s", host.Version, strings.Join(host.Controllers, " "))
	}
	return []Check{c}
}

func namespaces(context.Context, Config) []Check {
	c := Check{Name: "user namespaces", Must: true, Status: OK}
	n, err := readNumber("/proc/sys/user/max_user_namespaces")
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.Status, c.Detail, c.Mend = Missing, "not in this kernel (CONFIG_USER_NS)", "boot a distribution's kernel"
	case err != nil:
		c.Status, c.Detail = Missing, err.Error()
	case n == 0:
		c.Status, c.Detail, c.Mend = Missing, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=65536"
	default:
		c.Detail = fmt.Sprintf("up to %d", n)
	}
	for file, restricts := range map[string]int64{
		"/proc/sys/kernel/unprivileged_userns_clone": 0, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": 1,
	} {
		if n, err := readNumber(file); err == nil && n == restricts {
			c.Detail += "; " + filepath.Base(file) + " does not matter: root makes them"
		}
	}
	return []Check{c}
}

func seccomp(context.Context, Config) []Check {
	c := Check{Name: "seccomp", Must: true, Status: OK}
	b, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		c.Status, c.Detail, c.Mend = Missing, "not in this kernel (CONFIG_SECCOMP_FILTER)", "boot a distribution's kernel"
	} else {
		c.Detail = strings.TrimSpace(string(b))
	}
	return []Check{c}
}

func readNumber(file string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func hasSwap() bool {
	b, err := os.ReadFile("/proc/swaps")
	return err == nil && strings.Count(string(b), "\n") > 1
}
