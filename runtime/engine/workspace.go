package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/files"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
)

// workspaceID is the container's name to runc.
const workspaceID = "workspace"

// workspace is the sandbox's first container: the machine that a visitor sees.
type workspace struct {
	runtime *oci.Runtime
	config  boot.Config
	init    *process.Process
	rootfs  string
}

// startWorkspace mounts the image's layers and starts the container; its writable layer is on the session's disk.
func startWorkspace(ctx context.Context, rt *oci.Runtime, c boot.Config) (*workspace, error) {
	bundle := filepath.Join(boot.Run, workspaceID)
	w := &workspace{runtime: rt, config: c, rootfs: filepath.Join(bundle, "rootfs")}
	if err := os.MkdirAll(w.rootfs, 0o755); err != nil {
		return nil, err
	}
	if err := mountImage(c.Image.Layers, filepath.Join(boot.Disk, workspaceID), w.rootfs); err != nil {
		return nil, fmt.Errorf("mount image %s: %w", c.Image.Name, err)
	}
	etc := filepath.Join(boot.Disk, workspaceID, "etc")
	if err := writeEtc(etc, c); err != nil {
		return nil, err
	}
	spec, err := oci.WorkspaceSpec(c, w.rootfs, etc)
	if err != nil {
		return nil, err
	}
	if w.init, err = rt.Run(ctx, workspaceID, bundle, spec); err != nil {
		return nil, err
	}
	return w, nil
}

// mountImage mounts layers, lowest first, with a writable one on top that is kept in dir.
func mountImage(layers []string, dir, target string) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	// The options of mount(2) are one page: short names let an image have Docker's 127 layers.
	links, err := os.MkdirTemp("/", "l")
	if err != nil {
		return err
	}
	defer os.RemoveAll(links)
	lower := make([]string, len(layers))
	for i, layer := range layers {
		short := filepath.Join(links, strconv.Itoa(i))
		if err := os.Symlink(filepath.Join(boot.Layers, layer), short); err != nil {
			return err
		}
		lower[len(layers)-1-i] = short // overlay wants the highest first
	}
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), upper, work)
	return unix.Mount("overlay", target, "overlay", 0, options)
}

// writeEtc writes the files that tell a container who it is and how to resolve names.
func writeEtc(dir string, c boot.Config) error {
	var resolv strings.Builder
	for _, server := range c.DNS {
		fmt.Fprintf(&resolv, "nameserver %s\n", server)
	}
	hosts := fmt.Sprintf("127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", c.Hostname)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(resolv.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "hosts"), []byte(hosts), 0o644),
		os.WriteFile(filepath.Join(dir, "hostname"), []byte(c.Hostname+"\n"), 0o644),
	)
}

// files returns the workspace's files as its processes see them.
func (w *workspace) files() *files.Tree { return files.Of(w.init.PID) }

// mounts are the paths of the workspace that are no files of its root file system, and where they are for the engine: a
// container that binds one of them gets what the workspace sees.
func (w *workspace) mounts() map[string]string {
	etc := filepath.Join(boot.Disk, workspaceID, "etc")
	m := map[string]string{
		"/proc": "/proc", "/sys": "/sys", "/dev": "/dev",
		boot.WorkspaceDockerSocket: boot.DockerSocket, "/run/docker.sock": boot.DockerSocket,
		"/etc/resolv.conf": etc + "/resolv.conf", "/etc/hosts": etc + "/hosts", "/etc/hostname": etc + "/hostname",
	}
	for _, p := range boot.DockerPrograms() {
		m[p.Path] = filepath.Join(boot.Programs, p.Name)
	}
	return m
}
