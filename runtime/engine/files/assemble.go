package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
)

// Mount is what a container that does not run would have in its tree.
type Mount struct {
	Source      string // a directory or file
	Destination string // in the container; made where it is missing, as a start would
	ReadOnly    bool
}

// View is the tree of a container that stays as it is until it is closed: also when the container ends, its volumes are
// where they were.
type View struct {
	*Tree
	root, namespace *os.File
}

// Enter returns the tree that the process with that PID has as its root.
func Enter(pid int) (v *View, err error) {
	v = &View{}
	if v.namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid)); err == nil {
		v.root, err = os.OpenFile(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	v.Tree = At(fmt.Sprintf("/proc/self/fd/%d", v.root.Fd()))
	return v, nil
}

// Assemble mounts what a container would have over root, where its own files are, without anybody else seeing it: in a mount
// namespace of its own, which is gone with Close. Mounts go before those that lie below them.
func Assemble(root string, readOnly bool, mounts []Mount) (*View, error) {
	v := &View{}
	if err := chroot.Thread(func() error { return v.mount(root, readOnly, mounts) }); err != nil {
		v.Close()
		return nil, fmt.Errorf("assemble the files of a container: %w", err)
	}
	v.Tree = At(fmt.Sprintf("/proc/self/fd/%d", v.root.Fd()))
	return v, nil
}

// Close gives up the namespace.
func (v *View) Close() {
	for _, f := range []*os.File{v.root, v.namespace} {
		if f != nil {
			_ = f.Close() // nothing is lost
		}
	}
}

// mount is called on a thread that nobody else uses.
func (v *View) mount(root string, readOnly bool, mounts []Mount) (err error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// The descriptor keeps the namespace, and with it the mounts, when the thread has ended.
	if v.namespace, err = os.Open("/proc/thread-self/ns/mnt"); err != nil {
		return err
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil { // one that may be made read-only
		return err
	}
	if v.root, err = os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := v.bind(m); err != nil {
			return fmt.Errorf("%s: %w", m.Destination, err)
		}
	}
	if readOnly {
		return makeReadOnly(v.root)
	}
	return nil
}

func (v *View) bind(m Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	at, err := v.mountpoint(m.Destination, info.IsDir())
	if err != nil {
		return err
	}
	defer at.Close()
	// Not by a path: a link in the container must not lead elsewhere.
	if err := unix.Mount(m.Source, fmt.Sprintf("/proc/thread-self/fd/%d", at.Fd()), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !m.ReadOnly {
		return nil
	}
	on, err := pathrs.OpenatInRoot(v.root, m.Destination)
	if err != nil {
		return err
	}
	defer on.Close()
	return makeReadOnly(on)
}

// mountpoint opens a destination, and makes it where it is missing.
func (v *View) mountpoint(name string, dir bool) (*os.File, error) {
	at, err := pathrs.OpenatInRoot(v.root, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return at, err
	}
	if dir {
		return pathrs.MkdirAllHandle(v.root, name, 0o755)
	}
	parent, err := pathrs.MkdirAllHandle(v.root, path.Dir(name), 0o755)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	fd, err := unix.Openat(int(parent.Fd()), path.Base(name), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// makeReadOnly changes one mount, and keeps its other flags: kernel 5.12.
func makeReadOnly(f *os.File) error {
	return unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}
