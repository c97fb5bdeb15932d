// Package chroot lets a program that runs in a chroot make user namespaces, which the kernel refuses there
// (user_namespaces(7), EPERM): it gives a thread a mount namespace whose true root the chroot is.
package chroot

import (
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// Inside reports whether this process runs in a chroot: its root is not that of the first process.
func Inside() bool {
	var own, first unix.Stat_t
	if unix.Stat("/", &own) != nil || unix.Stat("/proc/1/root/.", &first) != nil {
		return false
	}
	return own.Dev != first.Dev || own.Ino != first.Ino
}

// Thread calls f on a thread of its own that ends with it, and returns what f does. In a chroot the thread has left it: f
// sees the same files, and what it clones may have a user namespace.
func Thread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it its mount namespace
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot end. While it is held here, the next goroutine runs on another.
			err := Thread(f)
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		err := error(nil)
		if Inside() {
			err = Leave()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Leave gives the calling thread a mount namespace whose true root is the directory that it was changed to. The thread
// must be locked, and must end with its goroutine.
func Leave() error {
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
		// A copy of a shared mount is shared too, and pivot_root(2) refuses those.
		func() error { return unix.Mount("", "/proc", "", unix.MS_REC|unix.MS_SLAVE, "") },
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
