package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Labels of the snapshots of containers.
const (
	labelImage  = "berth.image"           // ID of the image that a root was made of
	labelRoot   = "containerd.io/gc.root" // not to be collected
	labelFollow = "containerd.io/gc.bref.snapshot." + Snapshotter
)

func rootKey(key string) string { return "root/" + key }

// NewRoot makes a container's writable layer on an image, which stays for as long as the root does. An image that only the
// host's catalogue has becomes one of this session.
func (s *Store) NewRoot(ctx context.Context, key, imageID string) error {
	all, err := s.records(ctx)
	if err != nil {
		return err
	}
	if all[imageID] == nil {
		if _, err := s.adopt(ctx, imageID); err != nil {
			return err
		}
	}
	ctx = scoped(ctx)
	config, err := s.config(ctx, imageID)
	if err != nil {
		return err
	}
	parent, err := s.initLayer(ctx, chainID(config.RootFS.DiffIDs))
	if err != nil {
		return fmt.Errorf("prepare the root of %s: %w", key, err)
	}
	_, err = s.snapshots.Prepare(ctx, rootKey(key), parent, snapshots.WithLabels(map[string]string{
		labelRoot: time.Now().UTC().Format(time.RFC3339), labelImage: imageID,
	}))
	if err != nil {
		return fmt.Errorf("prepare the root of %s: %w", key, err)
	}
	return nil
}

// initLayer is a layer above the image's that has what runc mounts on, as Docker has one: so that making it is no change
// of the container's. It is shared by all containers of the image, and goes with the image.
func (s *Store) initLayer(ctx context.Context, chain string) (string, error) {
	name := "init/" + chain
	unlock, err := s.lockKey(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := s.snapshots.Stat(ctx, name); err == nil {
		return name, nil
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	key := name + "/new"
	mounts, err := s.snapshots.Prepare(ctx, key, chain)
	if errdefs.IsAlreadyExists(err) { // of one that was cut short
		mounts, err = s.snapshots.Mounts(ctx, key)
	}
	if err != nil {
		return "", err
	}
	if err := s.withMounted(ctx, mounts, makeMountPoints); err != nil {
		return "", errors.Join(err, s.snapshots.Remove(context.WithoutCancel(ctx), key))
	}
	labels := map[string]string{}
	if chain != "" {
		labels[labelFollow] = chain
	}
	return name, s.snapshots.Commit(ctx, name, key, snapshots.WithLabels(labels))
}

// makeMountPoints makes what Docker's init layer has (moby: daemon/initlayer), where the image does not.
func makeMountPoints(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, d := range []string{"dev/pts", "dev/shm", "proc", "sys", "etc"} {
		if err := root.MkdirAll(d, 0o755); err != nil && !passable(err) {
			return err
		}
	}
	for _, name := range []string{".dockerenv", "dev/console", "etc/resolv.conf", "etc/hosts", "etc/hostname"} {
		if _, err := root.Lstat(name); err == nil {
			continue
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o755)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !passable(err) {
			return err
		}
	}
	if err := root.Symlink("/proc/mounts", "etc/mtab"); err != nil && !passable(err) {
		return err
	}
	return nil
}

// passable errors are of images with something else in the place of a mount point: runc will say so, if it matters.
func passable(err error) bool {
	var at *os.PathError
	var link *os.LinkError
	return !errors.Is(err, unix.ENOSPC) && (errors.As(err, &at) || errors.As(err, &link))
}

// withMounted mounts a snapshot for the time of a call.
func (s *Store) withMounted(ctx context.Context, mounts []mount.Mount, do func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(s.Dir, "mounted-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := mount.All(mounts, dir); err != nil {
		return fmt.Errorf("mount layers: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	if err := ctx.Err(); err != nil {
		return err
	}
	return do(dir)
}

// MountRoot mounts a container's root file system at target, which is made. Where it is mounted already, nothing happens.
func (s *Store) MountRoot(ctx context.Context, key, target string) error {
	mounts, err := s.snapshots.Mounts(scoped(ctx), rootKey(key))
	if err != nil {
		return fmt.Errorf("mount the root of %s: %w", key, err)
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if mounted, err := mountinfo.Mounted(target); err != nil || mounted {
		return err
	}
	if err := mount.All(mounts, target); err != nil {
		return fmt.Errorf("mount the root of %s: %w", key, err)
	}
	return nil
}

// UnmountRoot is MountRoot's opposite, and idempotent. Files that are still open do not keep the mount.
func (s *Store) UnmountRoot(_ context.Context, key, target string) error {
	mounted, err := mountinfo.Mounted(target)
	if errors.Is(err, os.ErrNotExist) || err == nil && !mounted {
		return nil
	}
	if err == nil {
		err = unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("unmount the root of %s: %w", key, err)
	}
	return nil
}

// RemoveRoot removes a container's writable layer. It is idempotent. The bytes are free a moment later.
func (s *Store) RemoveRoot(ctx context.Context, key string) error {
	err := s.snapshots.Remove(scoped(ctx), rootKey(key))
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove the root of %s: %w", key, err)
	}
	s.collectSoon()
	return nil
}

// RootUsage returns the bytes that a container has written, and those of its whole root file system.
func (s *Store) RootUsage(ctx context.Context, key string) (rw, root int64, err error) {
	ctx = scoped(ctx)
	upper, _, err := s.RootDirs(ctx, key)
	if err != nil {
		return 0, 0, err
	}
	if rw, err = filesSize(ctx, upper); err != nil {
		return 0, 0, fmt.Errorf("usage of the root of %s: %w", key, err)
	}
	imageID, err := s.rootImage(ctx, key)
	if err != nil {
		return 0, 0, err
	}
	config, err := s.config(ctx, imageID)
	if err != nil {
		return 0, 0, err
	}
	below, err := s.layersSize(ctx, config.RootFS.DiffIDs)
	return rw, rw + below, err
}

// filesSize is the bytes of the files below a directory, hard links once, as Docker counts them (moby: pkg/directory).
func filesSize(ctx context.Context, dir string) (sum int64, err error) {
	seen := map[uint64]bool{}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // a container that runs has removed it
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		sum += info.Size()
		return nil
	})
	return sum, err
}

// rootImage is the ID of the image that a root was made of.
func (s *Store) rootImage(ctx context.Context, key string) (string, error) {
	info, err := s.snapshots.Stat(scoped(ctx), rootKey(key))
	if err != nil {
		return "", fmt.Errorf("the root of %s: %w", key, err)
	}
	return info.Labels[labelImage], nil
}

// RootDirs are the directories that a container's root file system is made of: the one that it writes to, and those below,
// highest first.
func (s *Store) RootDirs(ctx context.Context, key string) (upper string, lowers []string, err error) {
	mounts, err := s.snapshots.Mounts(scoped(ctx), rootKey(key))
	if err != nil {
		return "", nil, fmt.Errorf("the root of %s: %w", key, err)
	}
	return filepath.Clean(upperOf(mounts)), lowersOf(mounts), nil
}

// slashed is a path in a container, from its root.
func slashed(rel string) string { return path.Join("/", rel) }
