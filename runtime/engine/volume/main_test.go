package volume_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/engine/events"
	"berth/runtime/engine/volume"
)

const childVar = "BERTH_TEST_VOLUMES"

// TestMain runs the tests in a mount namespace of their own, as the root of a user namespace: what a sandbox is.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(childVar) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids,
		GidMappingsEnableSetgroups: true,
	}
	if err := chroot.Thread(cmd.Run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts, and files of other owners")
	}
}

// open makes a store in a new directory; what it has mounted goes with the mount namespace.
func open(t *testing.T, o volume.Options) (*volume.Store, *events.Bus, string) {
	t.Helper()
	dir := t.TempDir()
	bus := &events.Bus{}
	s, err := volume.Open(dir, bus, o)
	must(t, err)
	return s, bus, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
