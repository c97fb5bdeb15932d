package oci

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// allCapabilities are the kernel's, in their order: capabilities(7), up to Linux 5.9. Those that the engine itself does not
// have cannot be given: runc leaves them out.
var allCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
	"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

const anyCapability = "ALL"

// Capabilities returns what a container may have: Docker's default with add and drop, by Docker's rules, or all of them.
func Capabilities(add, drop []string, privileged bool) ([]string, error) {
	adds, err := normalCapabilities(add)
	if err != nil {
		return nil, fmt.Errorf("invalid CapAdd: %w", err)
	}
	drops, err := normalCapabilities(drop)
	if err != nil {
		return nil, fmt.Errorf("invalid CapDrop: %w", err)
	}
	base := defaultCapabilities
	switch {
	case privileged:
		return slices.Clone(allCapabilities), nil
	case slices.Contains(adds, anyCapability):
		base = allCapabilities
	case slices.Contains(drops, anyCapability):
		base, drops = nil, nil
	}
	var caps []string
	for _, c := range allCapabilities {
		if added := slices.Contains(adds, c); (added || slices.Contains(base, c)) && (added || !slices.Contains(drops, c)) {
			caps = append(caps, c)
		}
	}
	return caps, nil
}

// normalCapabilities takes names in any case, with and without CAP_.
func normalCapabilities(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		c := strings.ToUpper(name)
		if c != anyCapability && !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		if c != anyCapability && !slices.Contains(allCapabilities, c) {
			return nil, fmt.Errorf("unknown capability: %q", name)
		}
		out = append(out, c)
	}
	return out, nil
}

// ProcessCapabilities sets capabilities on a process as Docker does: a user who is not root has none to begin with, as
// execve(2) leaves it, and nobody inherits any.
func ProcessCapabilities(caps []string, uid uint32) *specs.LinuxCapabilities {
	c := &specs.LinuxCapabilities{Bounding: caps}
	if uid == 0 {
		c.Effective, c.Permitted = caps, caps
	}
	return c
}
