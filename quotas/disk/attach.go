package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Loop devices are handed out by the kernel in two steps, so another may take the one that we were told: try again.
const (
	loopTries = 50
	loopWait  = 2 * time.Millisecond
)

// Attach mounts the image and returns the mount: detached, without device files or access times. Close it when it has
// been handed on. The image is freed when the last mount namespace and descriptor that holds it is gone.
func Attach(ctx context.Context, image string) (*os.File, error) {
	loop, err := attachLoop(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("attach disk %s: %w", image, err)
	}
	defer loop.Close() // with AUTOCLEAR this frees the device, unless the mount below holds it
	mnt, err := mountLoop(loop.Name())
	if err != nil {
		return nil, fmt.Errorf("attach disk %s: %w", image, err)
	}
	return mnt, nil
}

// attachLoop ties the image to a free loop device, which lives as long as somebody has it open or mounted.
func attachLoop(ctx context.Context, image string) (*os.File, error) {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no loop devices (modprobe loop): %w", err)
	}
	defer control.Close()
	for range loopTries {
		var loop *os.File
		if loop, err = tryLoop(control, backing); err == nil {
			return loop, nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENXIO) && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		timer := time.NewTimer(loopWait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
	}
	return nil, fmt.Errorf("no free loop device in %d tries: %w", loopTries, err)
}

func tryLoop(control, backing *os.File) (*os.File, error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("free loop device: %w", err)
	}
	loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// Direct: what the sandbox reads is cached once, in its own page cache, not a second time under the image. Where
	// the host's file system has no direct I/O, the kernel drops the flag. LOOP_CONFIGURE is kernel 5.8.
	config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: 4096}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:len(config.Info.File_name)-1], backing.Name())
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), &config); err != nil {
		_ = loop.Close()
		return nil, fmt.Errorf("configure %s: %w", loop.Name(), err)
	}
	return loop, nil
}

// mountLoop mounts a device nowhere: the mount exists only as a descriptor (fsopen, kernel 5.2).
func mountLoop(device string) (*os.File, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("ext4: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return nil, fmt.Errorf("mount option source: %w", err)
	}
	// discard: what is deleted inside goes back to the host's disk. noinit_itable: see format. nobarrier: see features;
	// a sandbox that syncs all the time then does not make the host's disk flush, and neighbours wait.
	for _, flag := range []string{"discard", "noinit_itable", "nobarrier"} {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return nil, fmt.Errorf("mount option %s: %w", flag, err)
		}
	}
	if err := unix.FsconfigSetString(fs, "errors", "remount-ro"); err != nil {
		return nil, fmt.Errorf("mount option errors: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("mount %s: %w", device, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", device, err)
	}
	return os.NewFile(uintptr(fd), device), nil
}
