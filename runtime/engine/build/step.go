package build

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/continuity/fs"
	"github.com/docker/go-units"
	bkexecutor "github.com/moby/buildkit/executor"
	bkoci "github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/solver/pb"
	apicontainer "github.com/moby/moby/api/types/container"
	apinetwork "github.com/moby/moby/api/types/network"
	sysuser "github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/network"
	"berth/runtime/engine/oci"
)

// defaultHostname is BuildKit's of a step.
const defaultHostname = "buildkitsandbox"

func (e *executor) bundle(id string) string { return filepath.Join(e.o.RunDir, id) }

// prepare makes all that a container needs before it can start; undo takes it back.
func (e *executor) prepare(
	ctx context.Context, s *step, root bkexecutor.Mount, mounts []bkexecutor.Mount, meta bkexecutor.Meta, undo *undos,
) error {
	bundle := e.bundle(s.id)
	if err := os.Mkdir(bundle, 0o711); err != nil {
		return err
	}
	undo.add(func(context.Context) error { return os.RemoveAll(bundle) })
	if err := s.mountRoot(ctx, root, bundle, undo); err != nil {
		return err
	}
	stubs := bkexecutor.MountStubsCleaner(context.WithoutCancel(ctx), s.rootfs, mounts, meta.RemoveMountStubsRecursive)
	undo.add(func(context.Context) error {
		stubs()
		return nil
	})
	joined, err := e.join(ctx, s, meta, undo)
	if err != nil {
		return err
	}
	binds, err := mountAll(ctx, mounts, bundle, undo)
	if err != nil {
		return err
	}
	etc, err := writeEtc(bundle, joined)
	if err != nil {
		return err
	}
	user, err := s.user(meta.User)
	if err != nil {
		return err
	}
	if err := s.makeCwd(meta.Cwd, user); err != nil {
		return err
	}
	s.spec = s.describe(meta, root.Readonly || meta.ReadonlyRootFS)
	s.spec.User, s.spec.Mounts = user, append(etc, binds...)
	s.spec.Join = map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: joined.NetNS}
	if joined.NetNS == "" {
		s.spec.Join[specs.NetworkNamespace] = oci.Shared
	}
	s.spec.Resources = e.o.Runtime.Cgroups.Resources(resources(meta.LinuxResources))
	return nil
}

// describe translates what BuildKit says of a container.
func (s *step) describe(meta bkexecutor.Meta, readonly bool) oci.Container {
	hostname := meta.Hostname
	if hostname == "" {
		hostname = defaultHostname
	}
	c := oci.Container{
		Config: &apicontainer.Config{Tty: meta.Tty, WorkingDir: meta.Cwd},
		Host:   &apicontainer.HostConfig{ReadonlyRootfs: readonly, Privileged: meta.SecurityMode == pb.SecurityMode_INSECURE},
		Rootfs: s.rootfs, Hostname: hostname, Args: meta.Args, Env: meta.Env, Cgroup: s.group,
	}
	for _, u := range meta.Ulimit {
		c.Host.Ulimits = append(c.Host.Ulimits, &units.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return c
}

// resources are limits of one step, within those of the session.
func resources(r *pb.LinuxResources) apicontainer.Resources {
	if r == nil {
		return apicontainer.Resources{}
	}
	return apicontainer.Resources{
		Memory: r.Memory, MemorySwap: r.MemorySwap, CPUShares: int64(r.CpuShares), CPUPeriod: int64(r.CpuPeriod), CPUQuota: r.CpuQuota,
		CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
	}
}

// join gives a step its place in the network: in the default bridge, in none, or in the sandbox's own.
func (e *executor) join(ctx context.Context, s *step, meta bkexecutor.Meta, undo *undos) (network.Joined, error) {
	j := network.Join{ContainerID: s.id, Name: s.id, Hostname: meta.Hostname, Mode: apinetwork.NetworkBridge, Quiet: true}
	switch meta.NetMode {
	case pb.NetMode_NONE:
		j.Mode = apinetwork.NetworkNone
	case pb.NetMode_HOST:
		j.Mode = apinetwork.NetworkHost
	case pb.NetMode_UNSET:
	}
	if j.Hostname == "" {
		j.Hostname = defaultHostname
	}
	for _, h := range meta.ExtraHosts {
		j.ExtraHosts = append(j.ExtraHosts, h.Host+"="+address(h.IP))
	}
	joined, err := e.o.Networks.Join(ctx, j)
	if err != nil {
		return joined, err
	}
	undo.add(func(ctx context.Context) error { return e.o.Networks.Leave(ctx, s.id) })
	return joined, nil
}

func address(ip net.IP) string { return ip.String() }

// writeEtc writes the files by which a step resolves names.
func writeEtc(bundle string, j network.Joined) ([]specs.Mount, error) {
	var out []specs.Mount
	for name, text := range map[string]string{"resolv.conf": j.ResolvConf, "hosts": j.Hosts} {
		file := filepath.Join(bundle, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		out = append(out, oci.BindMount(file, "/etc/"+name, "ro"))
	}
	return out, nil
}

// mountRoot mounts the step's root file system.
func (s *step) mountRoot(ctx context.Context, root bkexecutor.Mount, bundle string, undo *undos) error {
	mounts, err := openMount(ctx, root, false, undo)
	if err != nil {
		return err
	}
	s.rootfs = filepath.Join(bundle, "rootfs")
	if err := os.Mkdir(s.rootfs, 0o711); err != nil {
		return err
	}
	if err := mount.All(mounts, s.rootfs); err != nil {
		return fmt.Errorf("mount the root of a step: %w", err)
	}
	undo.add(func(context.Context) error { return unmount(s.rootfs) })
	return nil
}

// unmount ends a mount, also where something below is still open.
func unmount(at string) error {
	err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", at, err)
	}
	return nil
}

// user finds a user in the step's own files.
func (s *step) user(who string) (specs.User, error) {
	uid, gid, more, err := bkoci.GetUser(s.rootfs, who)
	if err != nil {
		return specs.User{}, err
	}
	return specs.User{UID: uid, GID: gid, AdditionalGids: more}, nil
}

// makeCwd makes the working directory where the image has none, as its user's.
func (s *step) makeCwd(cwd string, user specs.User) error {
	dir, err := fs.RootPath(s.rootfs, cwd)
	if err != nil {
		return fmt.Errorf("working directory %s: %w", cwd, err)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := sysuser.MkdirAllAndChown(dir, 0o755, int(user.UID), int(user.GID)); err != nil {
		return fmt.Errorf("make working directory %s: %w", cwd, err)
	}
	return nil
}

// execSpec describes a process that joins the step. What is not said is the first process's.
func (s *step) execSpec(meta bkexecutor.Meta) (*specs.Process, error) {
	p := oci.Process{Args: meta.Args, Env: meta.Env, Cwd: meta.Cwd, User: s.spec.User, TTY: meta.Tty}
	if len(p.Env) == 0 {
		p.Env = s.spec.Env
	}
	if p.Cwd == "" {
		p.Cwd = filepath.Clean("/" + s.spec.Config.WorkingDir)
	}
	if meta.User != "" {
		var err error
		if p.User, err = s.user(meta.User); err != nil {
			return nil, err
		}
	}
	return oci.ExecSpec(s.spec, p)
}
