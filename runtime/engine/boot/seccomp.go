package boot

import (
	"fmt"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are the system calls that nothing in a sandbox may make, privileged container or not, with the error they get.
// They are the parts of the kernel that a playground does not need and that kernel exploits have come through.
// clone3 cannot be looked into by a filter, so it is said not to exist: C libraries then fall back to clone.
var denied = []struct {
	number uint32
	errno  unix.Errno
}{
	{unix.SYS_CLONE3, unix.ENOSYS},
	{unix.SYS_IO_URING_SETUP, unix.EPERM},
	{unix.SYS_IO_URING_ENTER, unix.EPERM},
	{unix.SYS_IO_URING_REGISTER, unix.EPERM},
	{unix.SYS_BPF, unix.EPERM},
	{unix.SYS_ADD_KEY, unix.EPERM},
	{unix.SYS_REQUEST_KEY, unix.EPERM},
	{unix.SYS_KEYCTL, unix.EPERM},
	{unix.SYS_PERF_EVENT_OPEN, unix.EPERM},
	{unix.SYS_USERFAULTFD, unix.EPERM},
	{unix.SYS_KEXEC_LOAD, unix.EPERM},
	{unix.SYS_KEXEC_FILE_LOAD, unix.EPERM},
	{unix.SYS_INIT_MODULE, unix.EPERM},
	{unix.SYS_FINIT_MODULE, unix.EPERM},
	{unix.SYS_DELETE_MODULE, unix.EPERM},
	{unix.SYS_OPEN_BY_HANDLE_AT, unix.EPERM},
	{unix.SYS_SWAPON, unix.EPERM},
	{unix.SYS_SWAPOFF, unix.EPERM},
	{unix.SYS_REBOOT, unix.EPERM},
}

// Offsets in struct seccomp_data: seccomp(2).
const (
	offNumber  = 0
	offArch    = 4
	offArg0Low = 16 // little endian; both architectures below are
)

// x32 marks the numbers of the x32 ABI, which would otherwise slip by the list.
const x32 = 0x40000000

// AuditArch is the one architecture whose system calls the filter knows; others get ENOSYS.
func AuditArch() (uint32, error) {
	switch goruntime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64, nil
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64, nil
	}
	return 0, fmt.Errorf("no system call filter for %s: berth runs on amd64 and arm64", goruntime.GOARCH)
}

// Filter returns the wall's system call filter as a classic BPF program.
func Filter() ([]bpf.RawInstruction, error) {
	arch, err := AuditArch()
	if err != nil {
		return nil, err
	}
	deny := func(e unix.Errno) bpf.Instruction {
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(e)}
	}
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		deny(unix.ENOSYS),
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		deny(unix.ENOSYS),
	}
	for _, d := range denied {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: d.number, SkipTrue: 1}, deny(d.errno))
	}
	for _, nr := range []uint32{unix.SYS_CLONE, unix.SYS_UNSHARE} { // flags are the first argument of both
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: 3},
			bpf.LoadAbsolute{Off: offArg0Low, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: unix.CLONE_NEWUSER, SkipTrue: 1},
			deny(unix.EPERM),
			bpf.LoadAbsolute{Off: offNumber, Size: 4},
		)
	}
	return bpf.Assemble(append(p, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
}

// Confine installs Filter on every thread of this process, and so on all it will ever start.
func Confine() error {
	raw, err := Filter()
	if err != nil {
		return err
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	// No no_new_privs: setuid programs (su, sudo, ping) must work. CAP_SYS_ADMIN of our own user namespace suffices.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&fprog))) //nolint:gosec // seccomp(2) takes a pointer, and x/sys has no call for it
	goruntime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("install the system call filter: %w", errno)
	}
	return nil
}
