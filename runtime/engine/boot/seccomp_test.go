package boot_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// x32 is the bit of system call numbers of the x32 ABI.
const x32 = 0x40000000

// call is one system call and what the filter answers; 0: it lets it pass.
type call struct {
	Name   string
	Number uintptr
	Arg    uintptr
	Want   unix.Errno
}

func calls() []call {
	return []call{
		{"getpid", unix.SYS_GETPID, 0, 0},
		{"mount", unix.SYS_MOUNT, 0, 0},
		{"unshare mounts", unix.SYS_UNSHARE, unix.CLONE_NEWNS, 0},
		{"unshare users", unix.SYS_UNSHARE, unix.CLONE_NEWUSER, unix.EPERM},
		{"unshare users and mounts", unix.SYS_UNSHARE, unix.CLONE_NEWUSER | unix.CLONE_NEWNS, unix.EPERM},
		{"clone users", unix.SYS_CLONE, unix.CLONE_NEWUSER | unix.CLONE_FS, unix.EPERM},
		{"clone users, high bits", unix.SYS_CLONE, unix.CLONE_NEWUSER | unix.CLONE_FS | 1<<40, unix.EPERM},
		{"clone mounts", unix.SYS_CLONE, unix.CLONE_NEWNS | unix.CLONE_FS, 0}, // EINVAL: clone(2)
		{"clone3", unix.SYS_CLONE3, 0, unix.ENOSYS},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, 0, unix.EPERM},
		{"io_uring_enter", unix.SYS_IO_URING_ENTER, ^uintptr(0), unix.EPERM},
		{"io_uring_register", unix.SYS_IO_URING_REGISTER, ^uintptr(0), unix.EPERM},
		{"bpf", unix.SYS_BPF, 0, unix.EPERM},
		{"add_key", unix.SYS_ADD_KEY, 0, unix.EPERM},
		{"request_key", unix.SYS_REQUEST_KEY, 0, unix.EPERM},
		{"keyctl", unix.SYS_KEYCTL, 0xffff, unix.EPERM},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, 0, unix.EPERM},
		{"userfaultfd", unix.SYS_USERFAULTFD, 0xffff, unix.EPERM},
		{"kexec_load", unix.SYS_KEXEC_LOAD, 0, unix.EPERM},
		{"kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, 0, unix.EPERM},
		{"init_module", unix.SYS_INIT_MODULE, 0, unix.EPERM},
		{"finit_module", unix.SYS_FINIT_MODULE, ^uintptr(0), unix.EPERM},
		{"delete_module", unix.SYS_DELETE_MODULE, 0, unix.EPERM},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(0), unix.EPERM},
		{"swapon", unix.SYS_SWAPON, 0, unix.EPERM},
		{"swapoff", unix.SYS_SWAPOFF, 0, unix.EPERM},
		{"reboot", unix.SYS_REBOOT, 0, unix.EPERM},
		{"x32 getpid", x32 | unix.SYS_GETPID, 0, unix.ENOSYS},
		{"x32 bpf", x32 | unix.SYS_BPF, 0, unix.ENOSYS},
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "confined" {
		if err := confined(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// confined is a process of its own: it installs the filter, makes the calls and prints the errors by name.
func confined() error {
	if err := boot.Confine(); err != nil {
		return err
	}
	got := map[string]unix.Errno{}
	for _, c := range calls() {
		_, _, errno := unix.RawSyscall(c.Number, c.Arg, 0, 0)
		got[c.Name] = errno
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// TestConfine makes the calls for real. Their arguments are such that without the filter none of them succeeds or gets
// the same error, x32 on kernels that lack it apart.
func TestConfine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the filter is installed without no_new_privs")
	}
	cmd := exec.Command("/proc/self/exe", "confined")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]unix.Errno
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls() {
		errno, ok := got[c.Name]
		refused := errno == unix.EPERM || errno == unix.ENOSYS
		if !ok || c.Want != 0 && errno != c.Want || c.Want == 0 && refused {
			t.Errorf("%s: %v, want %v", c.Name, errno, c.Want)
		}
	}
}

// TestFilter runs the program itself, also for what this kernel does not have.
func TestFilter(t *testing.T) {
	raw, err := boot.Filter()
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("not all of the filter can be read")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	native := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[goruntime.GOARCH]
	for _, c := range calls() {
		check(t, vm, c.Name, native, c)
	}
	for _, foreign := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64} {
		check(t, vm, fmt.Sprintf("architecture %#x", foreign), foreign, call{Number: unix.SYS_GETPID, Want: unix.ENOSYS})
	}
}

func check(t *testing.T, vm *bpf.VM, name string, arch uint32, c call) {
	t.Helper()
	data := make([]byte, 64) // struct seccomp_data, in the byte order of the VM
	binary.BigEndian.PutUint32(data, uint32(c.Number))
	binary.BigEndian.PutUint32(data[4:], arch)
	binary.BigEndian.PutUint32(data[16:], uint32(c.Arg))
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	want := uint32(unix.SECCOMP_RET_ALLOW)
	if c.Want != 0 {
		want = unix.SECCOMP_RET_ERRNO | uint32(c.Want)
	}
	if uint32(got) != want {
		t.Errorf("%s: the filter returns %#x, want %#x", name, got, want)
	}
}
