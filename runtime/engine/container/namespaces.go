package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
)

// namespaces are those that a container shares: with the workspace, which is the host to it, or with another container.
func (m *Manager) namespaces(c *Container, netns string) (map[specs.LinuxNamespaceType]string, error) {
	h := c.host
	join := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: netns}
	if netns == "" {
		join[specs.NetworkNamespace] = oci.Shared
	}
	if h.UTSMode.IsHost() {
		join[specs.UTSNamespace] = oci.Shared // the workspace has the sandbox's own
	}
	if h.NetworkMode.IsContainer() && !h.UTSMode.IsHost() {
		other, err := m.runningPID(h.NetworkMode.ConnectedContainer(), "network")
		if err != nil {
			return nil, err
		}
		join[specs.UTSNamespace] = oci.Namespace(other, specs.UTSNamespace)
	}
	if h.CgroupnsMode.IsHost() {
		join[specs.CgroupNamespace] = oci.Namespace(m.o.Workspace.PID, specs.CgroupNamespace)
	}
	switch {
	case h.PidMode.IsHost():
		join[specs.PIDNamespace] = oci.Namespace(m.o.Workspace.PID, specs.PIDNamespace)
	case h.PidMode.IsContainer():
		pid, err := m.runningPID(h.PidMode.Container(), "PID")
		if err != nil {
			return nil, err
		}
		join[specs.PIDNamespace] = oci.Namespace(pid, specs.PIDNamespace)
	}
	switch {
	case h.IpcMode.IsHost():
		join[specs.IPCNamespace] = oci.Shared
	case h.IpcMode.IsContainer():
		pid, err := m.runningPID(h.IpcMode.Container(), "IPC")
		if err != nil {
			return nil, err
		}
		join[specs.IPCNamespace] = oci.Namespace(pid, specs.IPCNamespace)
	}
	return join, nil
}

// runningPID is the first process of another container.
func (m *Manager) runningPID(ref, namespace string) (int, error) {
	other, err := m.Get(ref)
	if err != nil {
		return 0, err
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if other.run == nil || other.rec.State.Restarting {
		return 0, conflict("cannot join %s namespace of a non running container: %s", namespace, other.id)
	}
	return other.run.process.PID, nil
}

const shmPath = "/dev/shm"

func (c *Container) shmDir() string { return filepath.Join(c.manager.o.RunDir, "shm", c.id) }

// sharedMemory is the directory to mount as /dev/shm where others can share it, "" where the container has one alone.
func (m *Manager) sharedMemory(c *Container) (string, error) {
	switch mode := c.host.IpcMode; {
	case mode.IsContainer():
		other, err := m.Get(mode.Container())
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(other.shmDir()); err != nil {
			return "", conflict("cannot join IPC of container %s: non-shareable IPC (hint: use IpcMode:shareable for the donor container)", other.id)
		}
		return other.shmDir(), nil
	case mode.IsShareable(), mode == api.IPCModeHost:
		return c.shmDir(), c.shareMemory()
	}
	return "", nil
}

// shareMemory mounts a /dev/shm where other containers can take it from.
func (c *Container) shareMemory() error {
	if err := os.MkdirAll(c.shmDir(), 0o711); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	if err := unix.Mount("shm", c.shmDir(), "tmpfs", flags, fmt.Sprintf("mode=1777,size=%d", c.host.ShmSize)); err != nil {
		return fmt.Errorf("mounting shm tmpfs: %w", err)
	}
	return nil
}

// unshareMemory ends shareMemory. It may be called where that was not.
func (c *Container) unshareMemory() error {
	err := unix.Unmount(c.shmDir(), unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", c.shmDir(), err)
	}
	if err := os.Remove(c.shmDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
