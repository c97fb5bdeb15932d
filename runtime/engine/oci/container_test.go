package oci_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
)

// ordinary is a container as `docker run busybox sh` makes it.
func ordinary() oci.Container {
	return oci.Container{
		Config: &container.Config{WorkingDir: "/w"}, Host: &container.HostConfig{}, Rootfs: "/root", Hostname: "box", Args: []string{"sh"},
		Cgroup: boot.Payload + "/id", Join: map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "/netns"}, ShmSize: 1 << 20,
	}
}

func spec(t *testing.T, change func(*oci.Container)) *specs.Spec {
	t.Helper()
	c := ordinary()
	if change != nil {
		change(&c)
	}
	s, err := oci.Spec(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mountAt(s *specs.Spec, at string) (m specs.Mount) {
	for _, m := range s.Mounts {
		if m.Destination == at {
			return m
		}
	}
	return m
}

func namespace(s *specs.Spec, kind specs.LinuxNamespaceType) string {
	for _, n := range s.Linux.Namespaces {
		if n.Type == kind {
			return "own" + n.Path
		}
	}
	return ""
}

func TestSpec(t *testing.T) {
	s := spec(t, nil)
	for kind, want := range map[specs.LinuxNamespaceType]string{
		specs.PIDNamespace: "own", specs.MountNamespace: "own", specs.IPCNamespace: "own", specs.UTSNamespace: "own",
		specs.CgroupNamespace: "own", specs.NetworkNamespace: "own/netns", specs.UserNamespace: "",
	} {
		if got := namespace(s, kind); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
	if s.Process.Cwd != "/w" || s.Hostname != "box" || !slices.Equal(s.Process.Args, []string{"sh"}) || s.Root.Readonly {
		t.Errorf("%+v", s.Process)
	}
	if s.Linux.Seccomp == nil || len(s.Linux.Seccomp.Architectures) != 1 {
		t.Error("it has no filter of system calls, or one for machines that this is not")
	}
	if len(s.Linux.MaskedPaths) == 0 || len(s.Linux.ReadonlyPaths) == 0 || s.Process.NoNewPrivileges {
		t.Error("not as Docker has it")
	}
	if got := mountAt(s, "/dev/shm").Options; !slices.Contains(got, "size=1048576") {
		t.Errorf("/dev/shm: %q", got)
	}
	if *s.Process.OOMScoreAdj <= 0 {
		t.Error("the kernel would not end it before the engine")
	}
	if slices.Contains(s.Process.Capabilities.Bounding, "CAP_SYS_ADMIN") {
		t.Error("it has more capabilities than Docker gives")
	}
}

func TestSpecPrivileged(t *testing.T) {
	s := spec(t, func(c *oci.Container) { c.Host.Privileged = true })
	if s.Linux.Seccomp != nil || len(s.Linux.MaskedPaths)+len(s.Linux.ReadonlyPaths) > 0 {
		t.Error("it is confined")
	}
	if !slices.Contains(s.Process.Capabilities.Effective, "CAP_SYS_ADMIN") {
		t.Error("it has not all capabilities")
	}
	for _, at := range []string{"/sys", "/sys/fs/cgroup"} {
		if slices.Contains(mountAt(s, at).Options, "ro") {
			t.Errorf("%s cannot be written", at)
		}
	}
	if next := spec(t, nil); !slices.Contains(mountAt(next, "/sys").Options, "ro") {
		t.Error("what one container has, the next one got")
	}
}

func TestSpecOptions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*oci.Container)
		ok     func(*specs.Spec) bool
	}{
		"init": {func(c *oci.Container) { c.Init = true }, func(s *specs.Spec) bool {
			return slices.Equal(s.Process.Args, []string{"/sbin/docker-init", "sh"}) && mountAt(s, "/sbin/docker-init").Source == boot.DockerInit
		}},
		"read-only": {func(c *oci.Container) { c.Host.ReadonlyRootfs = true }, func(s *specs.Spec) bool { return s.Root.Readonly }},
		"host's UTS": {
			func(c *oci.Container) { c.Join[specs.UTSNamespace], c.Hostname = oci.Shared, "" },
			func(s *specs.Spec) bool { return namespace(s, specs.UTSNamespace) == "" && s.Hostname == "" },
		},
		"another's processes": {
			func(c *oci.Container) { c.Join[specs.PIDNamespace] = "/proc/7/ns/pid" },
			func(s *specs.Spec) bool { return namespace(s, specs.PIDNamespace) == "own/proc/7/ns/pid" },
		},
		"a user has no capabilities": {
			func(c *oci.Container) { c.User.UID = 7 },
			func(s *specs.Spec) bool {
				p := s.Process.Capabilities
				return len(p.Bounding) > 0 && len(p.Effective)+len(p.Permitted)+len(p.Inheritable)+len(p.Ambient) == 0
			},
		},
		"no new privileges": {
			func(c *oci.Container) { c.Host.SecurityOpt = []string{"no-new-privileges"} },
			func(s *specs.Spec) bool { return s.Process.NoNewPrivileges },
		},
		"no filter": {
			func(c *oci.Container) {
				c.Host.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"}
			},
			func(s *specs.Spec) bool { return s.Linux.Seccomp == nil },
		},
		"own filter": {
			func(c *oci.Container) {
				c.Host.SecurityOpt = []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO"}]}`}
			},
			func(s *specs.Spec) bool {
				return s.Linux.Seccomp.DefaultAction == specs.ActAllow && len(s.Linux.Seccomp.Syscalls) == 1
			},
		},
		"unmasked": {
			func(c *oci.Container) { c.Host.SecurityOpt = []string{"systempaths=unconfined"} },
			func(s *specs.Spec) bool { return len(s.Linux.MaskedPaths) == 0 && s.Linux.Seccomp != nil },
		},
		"own masks": {
			func(c *oci.Container) { c.Host.MaskedPaths = []string{"/x"} },
			func(s *specs.Spec) bool { return slices.Equal(s.Linux.MaskedPaths, []string{"/x"}) },
		},
		"limits within the engine's": {
			func(c *oci.Container) {
				c.Host.Ulimits = []*units.Ulimit{{Name: "nofile", Soft: 1 << 40, Hard: 1 << 40}}
			},
			func(s *specs.Spec) bool {
				l := s.Process.Rlimits
				return len(l) == 1 && l[0].Type == "RLIMIT_NOFILE" && l[0].Hard < 1<<40 && l[0].Soft <= l[0].Hard
			},
		},
		"never more to be spared than the engine": {
			func(c *oci.Container) { c.Host.OomScoreAdj = -1000 },
			func(s *specs.Spec) bool { return *s.Process.OOMScoreAdj > 0 },
		},
		"one's own mount over the kernel's": {
			func(c *oci.Container) {
				c.Mounts = []specs.Mount{{Destination: "/dev/shm", Type: "bind", Source: "/x"}}
			},
			func(s *specs.Spec) bool { return mountAt(s, "/dev/shm").Source == "/x" },
		},
		"parents before children": {
			func(c *oci.Container) { c.Mounts = []specs.Mount{{Destination: "/a/b"}, {Destination: "/a"}} },
			func(s *specs.Spec) bool {
				at := func(d string) int {
					return slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == d })
				}
				return at("/a") < at("/a/b")
			},
		},
		"shared mounts": {
			func(c *oci.Container) {
				c.Mounts = []specs.Mount{{Destination: "/a", Options: []string{"rbind", "rshared"}}}
			},
			func(s *specs.Spec) bool { return s.Linux.RootfsPropagation == "shared" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if s := spec(t, c.change); !c.ok(s) {
				t.Errorf("process %+v\nlinux %+v\nmounts %v", s.Process, s.Linux, s.Mounts)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		add, drop  string
		privileged bool
		has, not   string
		err        string
	}{
		{has: "CAP_CHOWN CAP_NET_RAW", not: "CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE"},
		{add: "sys_ptrace", has: "CAP_SYS_PTRACE CAP_CHOWN"},
		{add: "CAP_NET_ADMIN", drop: "chown", has: "CAP_NET_ADMIN", not: "CAP_CHOWN"},
		{drop: "ALL", not: "CAP_CHOWN"},
		{drop: "ALL", add: "CHOWN", has: "CAP_CHOWN", not: "CAP_NET_RAW"},
		{add: "ALL", drop: "CHOWN", has: "CAP_SYS_ADMIN", not: "CAP_CHOWN"},
		{privileged: true, has: "CAP_SYS_ADMIN CAP_CHECKPOINT_RESTORE"},
		{add: "NONSENSE", err: `invalid CapAdd: unknown capability: "NONSENSE"`},
		{drop: "NONSENSE", err: `invalid CapDrop: unknown capability: "NONSENSE"`},
	} {
		got, err := oci.Capabilities(strings.Fields(c.add), strings.Fields(c.drop), c.privileged)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		for _, name := range strings.Fields(c.has) {
			if !slices.Contains(got, name) {
				t.Errorf("%+v: no %s", c, name)
			}
		}
		for _, name := range strings.Fields(c.not) {
			if slices.Contains(got, name) {
				t.Errorf("%+v: %s", c, name)
			}
		}
	}
}
