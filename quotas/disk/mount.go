package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Idmap shows a detached mount's files with the ids of a user namespace (a descriptor of /proc/PID/ns/user): uid 0 on disk
// is the namespace's uid 0. It can be done once for each mount. Kernel 5.12; for overlay on top of it 5.19.
func Idmap(mnt, userns *os.File) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(int(mnt.Fd()), "", unix.AT_EMPTY_PATH, attr); err != nil {
		return fmt.Errorf("idmap %s: %w", mnt.Name(), err)
	}
	return nil
}

// CloneTree returns a detached copy of the mount that shows the directory path, for Idmap and Move: private, without
// device files, and with readonly unwritable. Only with recursive does it hold what is mounted below path.
func CloneTree(path string, recursive, readonly bool) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	at := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
		at |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return nil, fmt.Errorf("clone mount of %s: %w", path, err)
	}
	tree := os.NewFile(uintptr(fd), path)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if readonly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", at, attr); err != nil {
		_ = tree.Close()
		return nil, fmt.Errorf("clone mount of %s: %w", path, err)
	}
	return tree, nil
}

// Move makes a detached mount appear at the directory target of the caller's mount namespace.
func Move(mnt *os.File, target string) error {
	if err := unix.MoveMount(int(mnt.Fd()), "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

// Space is how full a disk is.
type Space struct {
	Used, Free             int64 // bytes
	InodesUsed, InodesFree int64
}

// Usage asks the file system that dir is on: any open directory of the sandbox's disk, or the mount itself.
func Usage(dir *os.File) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return Space{}, fmt.Errorf("usage of %s: %w", dir.Name(), err)
	}
	return Space{
		Used:       int64(st.Blocks-st.Bfree) * st.Bsize,
		Free:       int64(st.Bavail) * st.Bsize,
		InodesUsed: int64(st.Files - st.Ffree),
		InodesFree: int64(st.Ffree),
	}, nil
}
