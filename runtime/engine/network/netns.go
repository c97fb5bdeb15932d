package network

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own, which ends with it: what f does to the thread's namespaces hurts nobody.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			result <- f()
			return // still locked: the thread ends
		}
		// The process's first thread does not end, and its namespaces are what others take for the process's (/proc/PID/ns,
		// /proc/net). While it waits here, another runs f.
		result <- onThread(f)
		goruntime.UnlockOSThread()
	}()
	return <-result
}

// newSpace makes a network namespace that lives as long as it is mounted on path, and runs f in it.
func newSpace(path string, f func() error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	_ = file.Close() // empty
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount a network namespace: %w", err)
		}
		return f()
	})
}

// inSpace runs f in the namespace that is mounted on path.
func inSpace(path string, f func() error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return onThread(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// removeSpace lets a namespace go; it ends when no process is in it any more. It is idempotent.
func removeSpace(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil &&
		!errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // not mounted, not there
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
