package oci_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
)

func workspaceSpec(t *testing.T) *specs.Spec {
	t.Helper()
	s, err := oci.WorkspaceSpec(boot.Config{Hostname: "box"}, "/rootfs", "/etc-files")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWorkspaceNamespaces(t *testing.T) {
	own := map[specs.LinuxNamespaceType]bool{}
	for _, n := range workspaceSpec(t).Linux.Namespaces {
		own[n.Type] = n.Path == ""
	}
	for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.CgroupNamespace} {
		if !own[kind] {
			t.Errorf("no %s namespace of its own", kind)
		}
	}
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.UserNamespace} {
		if _, there := own[kind]; there {
			t.Errorf("a %s namespace: the workspace has the sandbox's", kind)
		}
	}
}

// TestWorkspaceProfile: what is not listed is refused, and only one architecture is compiled.
func TestWorkspaceProfile(t *testing.T) {
	p := workspaceSpec(t).Linux.Seccomp
	if p == nil || p.DefaultAction != specs.ActErrno {
		t.Fatalf("profile = %+v, want refusal by default", p)
	}
	if len(p.Architectures) != 1 {
		t.Errorf("architectures = %v, want the machine's own alone", p.Architectures)
	}
	allowed := map[string]bool{}
	for _, rule := range p.Syscalls {
		if rule.Action == specs.ActAllow && len(rule.Args) == 0 {
			for _, name := range rule.Names {
				allowed[name] = true
			}
		}
	}
	for _, name := range []string{"read", "execve", "mount", "ptrace"} { // a machine of one's own: mount, strace
		if !allowed[name] {
			t.Errorf("%s is refused", name)
		}
	}
	for _, name := range []string{"kexec_load", "init_module", "reboot", "io_uring_setup", "keyctl", "userfaultfd", "swapon", "acct"} {
		if allowed[name] {
			t.Errorf("%s is allowed", name)
		}
	}
}

func TestWorkspaceCapabilities(t *testing.T) {
	s := workspaceSpec(t)
	for _, never := range []string{"CAP_SYS_MODULE", "CAP_SYS_BOOT", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_BPF", "CAP_PERFMON", "CAP_MAC_ADMIN"} {
		if slices.Contains(s.Process.Capabilities.Bounding, never) {
			t.Errorf("%s can be had", never)
		}
	}
	if len(s.Process.Capabilities.Ambient)+len(s.Process.Capabilities.Inheritable) > 0 {
		t.Error("capabilities that users other than root would get")
	}
	if s.Process.NoNewPrivileges {
		t.Error("su and sudo could not work")
	}
	if s.Process.OOMScoreAdj == nil || *s.Process.OOMScoreAdj <= 0 {
		t.Error("the kernel would not end the workspace's processes before the engine")
	}
}

func TestWorkspaceMounts(t *testing.T) {
	s := workspaceSpec(t)
	at := map[string]specs.Mount{}
	for _, m := range s.Mounts {
		if _, twice := at[m.Destination]; twice {
			t.Errorf("two mounts at %s", m.Destination)
		}
		at[m.Destination] = m
	}
	for _, dir := range []string{"/sys", "/sys/fs/cgroup", "/sbin/docker-init"} {
		if !slices.Contains(at[dir].Options, "ro") {
			t.Errorf("%s can be written: %v", dir, at[dir].Options)
		}
	}
	for name, file := range map[string]string{"/etc/hosts": "/etc-files/hosts", "/etc/resolv.conf": "/etc-files/resolv.conf", "/etc/hostname": "/etc-files/hostname"} {
		if at[name].Source != file {
			t.Errorf("%s comes from %q, want %q", name, at[name].Source, file)
		}
	}
	if s.Process.Args[0] != "/sbin/docker-init" || s.Root.Path != "/rootfs" || s.Root.Readonly {
		t.Errorf("root %+v, program %v", s.Root, s.Process.Args)
	}
	if s.Linux.CgroupsPath != boot.Payload+"/workspace" {
		t.Errorf("control group %q is not below the one whose limits leave room for the engine", s.Linux.CgroupsPath)
	}
}

// TestSpecsShareNothing: one container's specification can be changed without changing the next one's.
func TestSpecsShareNothing(t *testing.T) {
	first := workspaceSpec(t)
	first.Mounts[0].Destination = "/changed"
	first.Process.Capabilities.Bounding[0] = "CAP_CHANGED"
	second := workspaceSpec(t)
	if second.Mounts[0].Destination == "/changed" || second.Process.Capabilities.Bounding[0] == "CAP_CHANGED" {
		t.Error("a change of one specification is seen in another")
	}
}
