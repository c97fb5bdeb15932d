// Package chroot lets a program that runs in a chroot make user namespaces, which the kernel refuses there
// (user_namespaces(7), EPERM): it gives a thread a mount namespace whose true root the chroot is.
package chroot

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Inside reports whether this process runs in a chroot: whether its root is another than that of its mount namespace.
var Inside = sync.OnceValue(func() bool { //nolint:gochecknoglobals // a fact of this process, found out once
	inside := false
	err := thread(func() error {
		var before, after unix.Stat_t
		if err := errors.Join(unix.Stat("/", &before), unix.Unshare(unix.CLONE_FS)); err != nil {
			return err
		}
		own, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(own)
		// setns(2): the root of the thread becomes that of the namespace, even if it is the thread's own.
		if err := errors.Join(unix.Setns(own, unix.CLONE_NEWNS), unix.Stat("/", &after)); err != nil {
			return err
		}
		inside = before.Dev != after.Dev || before.Ino != after.Ino
		return nil
	})
	return err == nil && inside // who may not look may not make namespaces either
})

// Thread calls f on a thread of its own that ends with it, and returns what f does. In a chroot the thread has left it: f
// sees the same files, and what it clones may have a user namespace.
func Thread(f func() error) error {
	return thread(func() error {
		if Inside() {
			if err := Leave(); err != nil {
				return err
			}
		}
		return f()
	})
}

// thread calls f on a thread of its own that ends with it.
func thread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it its mount namespace
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot end. While it is held here, the next goroutine runs on another.
			err := thread(f)
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		done <- f()
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
