package doctor

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"berth/quotas/disk"
)

// Descriptors that the probe inherits.
const (
	fdWait = 3 + iota
	fdDisk
	fdLayers
)

// Probe is the inside of the sandbox that Run builds: call it in the process that Config.Probe starts, and exit with 1 on
// an error.
func Probe() error {
	if _, err := os.NewFile(fdWait, "wait").Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("probe: started by hand: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	for dir, fd := range map[string]uintptr{"/tmp/disk": fdDisk, "/tmp/layers": fdLayers} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := disk.Move(os.NewFile(fd, dir), dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/tmp/disk/upper", "/tmp/disk/work", "/tmp/merged"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	err := unix.Mount("overlay", "/tmp/merged", "overlay", 0,
		"userxattr,lowerdir=/tmp/layers,upperdir=/tmp/disk/upper,workdir=/tmp/disk/work")
	if err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return useOverlay("/tmp/merged/file")
}

// useOverlay changes, gives away and deletes a file of the lower layer.
func useOverlay(file string) error {
	if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
		return fmt.Errorf("copy up: %w", err)
	}
	if err := os.Chown(file, 1000, 1000); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("whiteout does not hide: %w", err)
	}
	return nil
}
