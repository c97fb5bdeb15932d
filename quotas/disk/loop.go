package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// InUse returns the loop devices ("/dev/loop3") behind which the image is, deleted or not.
func InUse(image string) ([]string, error) {
	abs, err := filepath.Abs(image)
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", image, err)
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil { // the kernel shows the real path
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("list loop devices: %w", err)
	}
	var devices []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
			continue // freed meanwhile
		} else if err != nil {
			return nil, fmt.Errorf("list loop devices: %w", err)
		}
		if shown(b) == abs {
			devices = append(devices, "/dev/"+strings.Split(file, "/")[3])
		}
	}
	return devices, nil
}

// Detach frees the loop devices behind the image, for Sweep. The kernel frees one that is still mounted as soon as it is
// not; InUse tells.
func Detach(image string) error {
	devices, err := InUse(image)
	if err != nil {
		return err
	}
	var errs []error
	for _, device := range devices {
		if err := clearLoop(device, image); err != nil {
			errs = append(errs, fmt.Errorf("detach %s from %s: %w", image, device, err))
		}
	}
	return errors.Join(errs...)
}

// shown is the path in a backing_file of sysfs.
func shown(b []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), " (deleted)")
}

func clearLoop(device, image string) error {
	f, err := os.OpenFile(device, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// While it is open the kernel does not free it: look again that it is still the image's and not somebody else's.
	devices, err := InUse(image)
	if err != nil || !slices.Contains(devices, device) {
		return err
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return err
	}
	return nil
}
