package unpack

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// idmappedMount returns a detached mount of dir on which the ids of userns have their natural values on disk
// (mount_setattr(2), kernel 5.12). Nothing of it is visible anywhere; it is gone when the last descriptor is closed.
func idmappedMount(dir, userns *os.File) (*os.File, error) {
	fd, err := unix.OpenTree(int(dir.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("clone the mount of %s: %w", dir.Name(), err)
	}
	mount := os.NewFile(uintptr(fd), dir.Name())
	attr := &unix.MountAttr{
		Attr_set:  unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
		Userns_fd: uint64(userns.Fd()),
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr)
	if err == nil {
		return mount, nil
	}
	_ = mount.Close()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return nil, fmt.Errorf("%s is on %s, which has no idmapped mounts (mount_setattr: %w): put the data directory on "+
			"ext4, xfs or btrfs, or on tmpfs with kernel 6.3", dir.Name(), fileSystem(dir), err)
	}
	return nil, fmt.Errorf("idmap the mount of %s: %w", dir.Name(), err)
}

// fileSystem names the file system that f is on.
func fileSystem(f *os.File) string {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return "an unknown file system"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "nfs",
		unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p", unix.F2FS_SUPER_MAGIC: "f2fs",
		0x2fc12fc1:       "zfs", // not in x/sys: ZFS is out of tree
		unix.RAMFS_MAGIC: "ramfs", unix.CIFS_SUPER_MAGIC: "cifs",
	}
	if name, ok := names[int64(st.Type)]; ok { //nolint:unconvert // it is an int64 on some architectures only
		return name
	}
	return fmt.Sprintf("a file system of type %#x", st.Type)
}
