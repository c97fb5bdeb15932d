package oci_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/oci/syscalls"
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// machine runs a filter as the kernel would.
type machine struct{ vm *bpf.VM }

func compile(t *testing.T, p *specs.LinuxSeccomp) machine {
	t.Helper()
	b, err := oci.CompileFilter(p)
	if err != nil {
		t.Fatal(err)
	}
	var raw []bpf.RawInstruction
	for ; len(b) > 0; b = b[8:] {
		raw = append(raw, bpf.RawInstruction{Op: binary.LittleEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.LittleEndian.Uint32(b[4:])})
	}
	prog, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program has instructions that nobody knows")
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	return machine{vm}
}

// run decides a system call. The machine for packets reads words in network order: each is put so.
func (m machine) run(t *testing.T, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, number)
	binary.BigEndian.PutUint32(data[4:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	n, err := m.vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func defaultProfile(t *testing.T) *specs.LinuxSeccomp {
	t.Helper()
	s := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}, Linux: &specs.Linux{}}
	if err := oci.SetSeccomp(s, ""); err != nil {
		t.Fatal(err)
	}
	return s.Linux.Seccomp
}

// TestDefaultFilter is Docker's profile, by what it is known for.
func TestDefaultFilter(t *testing.T) {
	m := compile(t, defaultProfile(t))
	arch, err := boot.AuditArch()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"read", nil, allow},
		{"execve", nil, allow},
		{"openat2", nil, allow},
		{"mount", nil, eperm},
		{"unshare", nil, eperm},
		{"setns", nil, eperm},
		{"keyctl", nil, eperm},
		{"bpf", nil, eperm},
		{"clone3", nil, enosys},
		{"clone", []uint64{uint64(unix.SIGCHLD)}, allow},
		{"clone", []uint64{unix.CLONE_NEWUSER}, eperm},
		{"clone", []uint64{unix.CLONE_NEWNS | uint64(unix.SIGCHLD)}, eperm},
		{"clone", []uint64{1<<40 | uint64(unix.SIGCHLD)}, allow},
		{"socket", []uint64{unix.AF_UNIX}, allow},
		{"socket", []uint64{unix.AF_INET6}, allow},
		{"socket", []uint64{unix.AF_ALG}, eperm},
		{"socket", []uint64{unix.AF_VSOCK}, eperm},
		{"socket", []uint64{1<<32 | unix.AF_UNIX}, eperm},
		{"personality", []uint64{0}, allow},
		{"personality", []uint64{0xffffffff}, allow},
		{"personality", []uint64{1}, eperm},
	} {
		number, ok := syscalls.Number(c.name)
		if !ok {
			t.Fatalf("%s has no number", c.name)
		}
		if got := m.run(t, arch, number, c.args...); got != c.want {
			t.Errorf("%s(%x) = %#x, want %#x", c.name, c.args, got, c.want)
		}
	}
	if got := m.run(t, arch, 9999); got != enosys {
		t.Errorf("a system call of the future = %#x: programs do not fall back", got)
	}
	for _, other := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM} {
		if got := m.run(t, other, 0); got != enosys {
			t.Errorf("a system call of architecture %#x = %#x", other, got)
		}
	}
	if got := m.run(t, arch, 0x40000000); got != enosys {
		t.Errorf("a system call of x32 = %#x", got)
	}
}

// TestConditions holds every operator against what it means, at the edges of both halves of an argument.
func TestConditions(t *testing.T) {
	arch, err := boot.AuditArch()
	if err != nil {
		t.Fatal(err)
	}
	edges := []uint64{0, 1, 2, 7, 8, math.MaxUint32 - 1, math.MaxUint32, 1 << 32, 1<<32 | 1, 1<<33 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}
	number, _ := syscalls.Number("ioctl")
	for op, holds := range map[specs.LinuxSeccompOperator]func(a, v, w uint64) bool{
		specs.OpEqualTo:      func(a, v, _ uint64) bool { return a == v },
		specs.OpNotEqual:     func(a, v, _ uint64) bool { return a != v },
		specs.OpGreaterThan:  func(a, v, _ uint64) bool { return a > v },
		specs.OpGreaterEqual: func(a, v, _ uint64) bool { return a >= v },
		specs.OpLessThan:     func(a, v, _ uint64) bool { return a < v },
		specs.OpLessEqual:    func(a, v, _ uint64) bool { return a <= v },
		specs.OpMaskedEqual:  func(a, v, w uint64) bool { return a&v == w },
	} {
		for _, v := range edges {
			for _, w := range []uint64{0, v, 1, 1 << 32} {
				// A second condition behind it, and a second rule behind that: neither may be run into by a wrong jump.
				m := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
					{Names: []string{"ioctl"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
						{Index: 1, Value: v, ValueTwo: w, Op: op}, {Index: 2, Value: 5, Op: specs.OpEqualTo},
					}},
					{Names: []string{"ioctl"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{{Index: 3, Value: 9, Op: specs.OpEqualTo}}},
				}})
				for _, a := range edges {
					for _, rest := range [][2]uint64{{5, 0}, {5, 9}, {4, 9}, {4, 0}} {
						want := eperm
						if rest[1] == 9 {
							want = unix.SECCOMP_RET_LOG
						}
						if holds(a, v, w) && rest[0] == 5 {
							want = allow
						}
						if got := m.run(t, arch, number, 0, a, rest[0], rest[1]); got != want {
							t.Fatalf("%#x %s %#x (%#x), %v: %#x, want %#x", a, op, v, w, rest, got, want)
						}
					}
				}
			}
		}
	}
}

func TestRules(t *testing.T) {
	arch, err := boot.AuditArch()
	if err != nil {
		t.Fatal(err)
	}
	errno := uint(unix.ENOANO)
	m := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"chmod", "fchmod", "no_such_call"}, Action: specs.ActErrno, ErrnoRet: &errno},
		{Names: []string{"fchmod"}, Action: specs.ActKillProcess},                                                                    // decided already
		{Names: []string{"fchown"}, Action: specs.ActAllow},                                                                          // said anyway: no rule
		{Names: []string{"fchown"}, Action: specs.ActTrap, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 3, Op: specs.OpEqualTo}}}, // so this one counts
		{Names: []string{"dup"}, Action: specs.ActTrace, Args: []specs.LinuxSeccompArg{ // either
			{Index: 0, Value: 3, Op: specs.OpEqualTo}, {Index: 0, Value: 4, Op: specs.OpEqualTo},
		}},
		{Names: []string{"dup2"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 3, Op: specs.OpEqualTo}}},
		{Names: []string{"dup2"}, Action: specs.ActKill}, // without conditions it decides alone
	}})
	for _, c := range []struct {
		name string
		arg  uint64
		want uint32
	}{
		{"fchmod", 0, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOANO)},
		{"fchown", 3, unix.SECCOMP_RET_TRAP},
		{"fchown", 4, allow},
		{"dup", 3, unix.SECCOMP_RET_TRACE | uint32(unix.EPERM)},
		{"dup", 4, unix.SECCOMP_RET_TRACE | uint32(unix.EPERM)},
		{"dup", 5, allow},
		{"dup2", 3, unix.SECCOMP_RET_KILL_THREAD},
		{"dup2", 5, unix.SECCOMP_RET_KILL_THREAD},
		{"read", 0, allow},
	} {
		number, ok := syscalls.Number(c.name)
		if !ok {
			continue // dup2 is not on arm64
		}
		if got := m.run(t, arch, number, c.arg); got != c.want {
			t.Errorf("%s(%d) = %#x, want %#x", c.name, c.arg, got, c.want)
		}
	}
	if got := m.run(t, arch, 9999); got != allow {
		t.Errorf("where all is allowed, a system call of the future = %#x", got)
	}
}

func TestFilterRefuses(t *testing.T) {
	rule := func(r specs.LinuxSyscall) *specs.LinuxSeccomp {
		r.Names = []string{"read"}
		return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{r}}
	}
	many := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for v := range uint64(2000) {
		many.Syscalls = append(many.Syscalls, specs.LinuxSyscall{
			Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Value: v, Op: specs.OpEqualTo}},
		})
	}
	for want, p := range map[string]*specs.LinuxSeccomp{
		"not supported":        rule(specs.LinuxSyscall{Action: specs.ActNotify}),
		`"SCMP_ACT_X"`:         {DefaultAction: "SCMP_ACT_X"},
		"no argument 6":        rule(specs.LinuxSyscall{Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}),
		"operator":             rule(specs.LinuxSyscall{Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: "SCMP_CMP_X"}}}),
		"more than the kernel": many,
	} {
		if _, err := oci.CompileFilter(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func BenchmarkCompileFilter(b *testing.B) {
	s := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}, Linux: &specs.Linux{}}
	if err := oci.SetSeccomp(s, ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := oci.CompileFilter(s.Linux.Seccomp); err != nil {
			b.Fatal(err)
		}
	}
}
