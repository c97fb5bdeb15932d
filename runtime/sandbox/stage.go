package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
)

// stagedMount is a detached mount and its name on the stage.
type stagedMount struct {
	name string
	tree *os.File
}

// makeStage makes the mount points that a sandbox finds its mounts on: boot.Config, Stage.
func makeStage(dir string) error {
	if err := makeDir(dir, 0o711); err != nil {
		return err
	}
	for _, d := range []string{"disk", "layers", "catalogue", "programs", "root"} {
		if err := makeDir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// mountStage puts the mounts on the stage, in a mount namespace of the calling thread alone. A process cloned from this
// thread with a user namespace of its own gets them locked: it can neither make a read-only one writable nor look
// beneath one (mount_namespaces(7)). The thread's namespace ends with the thread; the host never sees these mounts.
func mountStage(dir string, mounts []stagedMount) error {
	if err := unshareMounts(); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range mounts {
		err := unix.MoveMount(int(m.tree.Fd()), "", unix.AT_FDCWD, filepath.Join(dir, m.name), unix.MOVE_MOUNT_F_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("mount %s on the stage: %w", m.name, err)
		}
	}
	return nil
}

// unshareMounts gives the calling thread a mount namespace, from which user namespaces can be made.
func unshareMounts() error {
	if chroot.Inside() {
		return chroot.Leave()
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace for the stage: %w", err)
	}
	return nil
}

// newUserNamespace returns a user namespace that maps 0… to first… on the host. Nothing ever runs in it: idmapped mounts
// want one before the sandbox exists.
func newUserNamespace(first, count int) (f *os.File, err error) {
	// All on one thread: it is the tracer, and when a tracer ends, what it holds stopped goes on.
	err = chroot.Thread(func() error {
		f, err = openUserNamespace(first, count)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("user namespace: %w", err)
	}
	return f, nil
}

// openUserNamespace starts a process in a new user namespace, stops it before its first instruction (PTRACE_TRACEME,
// ptrace(2)), opens the namespace and kills the process.
func openUserNamespace(first, count int) (*os.File, error) {
	mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: count}}
	p, err := os.StartProcess("/proc/self/exe", []string{"berth"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: mapping, GidMappings: mapping, Ptrace: true,
	}})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.Pid))
	killErr := p.Kill()
	_, waitErr := p.Wait()
	if err = errors.Join(err, killErr, waitErr); err != nil && f != nil {
		err = errors.Join(err, f.Close())
	}
	return f, err
}
