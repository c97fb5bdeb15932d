package oci

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/boot"
)

// defaultCapabilities are the ones that Docker gives to a container.
var defaultCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// machineCapabilities make the workspace a machine of one's own: mount, ip, strace work, all of them only on what
// belongs to the sandbox's user namespace.
var machineCapabilities = []string{
	"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYS_NICE", "CAP_IPC_LOCK", "CAP_LEASE",
}

// oomScore is what processes of containers get, so that the kernel ends one of them and not the engine (which stays
// at 0) when the sandbox's memory is spent: proc(5), oom_score_adj. Raising it needs no right.
const oomScore = 500

// initPath is where Docker has its init in a container.
const initPath = "/sbin/docker-init"

// pathDefault is Docker's for images that set none.
const pathDefault = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// WorkspaceSpec describes the sandbox's first container: it shares the sandbox's network, IPC and host name, has its own
// processes and files, and is `the host` to the Docker engine. rootfs is mounted; etc holds resolv.conf, hosts and hostname.
func WorkspaceSpec(_ boot.Config, rootfs, etc string) (*specs.Spec, error) {
	adj := oomScore
	s := &specs.Spec{ // without a host name: the workspace shares the sandbox's own
		Version: specs.Version,
		Root:    &specs.Root{Path: rootfs},
		Process: &specs.Process{
			Args: []string{initPath}, Cwd: "/", Env: []string{pathDefault},
			Capabilities: WorkspaceCapabilities(), OOMScoreAdj: &adj,
		},
		Mounts: slices.Concat(kernelMounts, []specs.Mount{
			bindMount(boot.DockerInit, initPath, "ro"),
			bindMount(etc+"/resolv.conf", "/etc/resolv.conf"),
			bindMount(etc+"/hosts", "/etc/hosts"),
			bindMount(etc+"/hostname", "/etc/hostname"),
		}, programMounts()),
		Linux: &specs.Linux{
			CgroupsPath: boot.Payload + "/workspace",
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
			},
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: readonlyPaths,
			Resources:     &specs.LinuxResources{},
		},
	}
	return s, setSeccomp(s, "")
}

// WorkspaceCapabilities are what root has in the workspace.
func WorkspaceCapabilities() *specs.LinuxCapabilities {
	caps := slices.Concat(defaultCapabilities, machineCapabilities)
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// OOMScoreAdj returns what a process of a container is to have.
func OOMScoreAdj() *int {
	adj := oomScore
	return &adj
}

func bindMount(from, to string, options ...string) specs.Mount {
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: append([]string{"bind", "rprivate"}, options...)}
}

var kernelMounts = []specs.Mount{
	{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
	{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
	{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
}

// maskedPaths and readonlyPaths are Docker's defaults.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)
