package unpack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// start starts a child, also from within a chroot, where the kernel makes no user namespaces (user_namespaces(7), EPERM):
// then the second attempt is made from a mount namespace whose true root the chroot is.
func start(cmd *exec.Cmd) (*exec.Cmd, error) {
	second := *cmd // a Cmd starts only once
	err := cmd.Start()
	if !errors.Is(err, unix.EPERM) || os.Geteuid() != 0 {
		return cmd, err
	}
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it its mount namespace
		err := leaveChroot()
		if err == nil {
			err = second.Start() // on this thread
		}
		ended <- err
	}()
	return &second, <-ended
}

// leaveChroot gives this thread a mount namespace whose true root is the directory that it was changed to.
func leaveChroot() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leave the chroot: %w", err)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("leave the chroot: clone its mounts: %w", err)
	}
	defer unix.Close(tree)
	own, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(own)
	for _, step := range []func() error{
		func() error { return unix.Setns(own, unix.CLONE_NEWNS) }, // setns(2): the root becomes the namespace's
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") },
		func() error { return unix.MoveMount(tree, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH) },
		func() error { return unix.Fchdir(tree) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("leave the chroot: %w", err)
		}
	}
	return nil
}
