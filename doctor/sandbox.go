package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/disk"
	"berth/runtime/chroot"
)

// probeUID is the first uid of the probe's user namespace: beyond those of sandboxes and of people.
const probeUID = 2_000_000_000

// sandboxParts builds the skeleton of a sandbox: a disk, shared layers, both idmapped into a user namespace, and an overlay
// of the two mounted by root inside. Each part is a line; those behind the first that fails are not tried.
func sandboxParts(ctx context.Context, c Config) []Check {
	checks := []Check{
		{Name: "session disks", Must: true, Detail: "mkfs.ext4, loop device, ext4"},
		{Name: "idmapped mounts", Must: true, Detail: "of ext4 and of " + existing(c.DataDir)},
		{Name: "overlay", Must: true, Detail: "with userxattr on idmapped mounts, in a user namespace"},
	}
	mends := []string{
		"apt-get install e2fsprogs; modprobe -a loop ext4",
		"put --data-dir on ext4, xfs or btrfs",
		"modprobe overlay; a kernel of at least 5.19, and no rule of AppArmor or SELinux against it",
	}
	failed, err := trySandbox(ctx, c)
	for i := range checks {
		switch {
		case err == nil || i < failed:
			checks[i].Status = OK
		case i == failed:
			checks[i].Status, checks[i].Detail, checks[i].Mend = Missing, err.Error(), mends[i]
		default:
			checks[i].Status, checks[i].Detail = Missing, "not tried, because of "+checks[failed].Name
		}
	}
	return checks
}

// trySandbox returns the index of the part that failed.
func trySandbox(ctx context.Context, c Config) (part int, err error) {
	dir, err := os.MkdirTemp(existing(c.DataDir), ".berth-doctor-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	image, layers := filepath.Join(dir, "disk.img"), filepath.Join(dir, "layers")
	err = errors.Join(
		os.Mkdir(layers, 0o755), // #nosec G301 -- read by mapped uids
		os.WriteFile(filepath.Join(layers, "file"), []byte("from a layer"), 0o644), // #nosec G306
		disk.Create(ctx, image, quotas.Limits{DiskBytes: quotas.MinDiskBytes, DiskInodes: quotas.MinDiskInodes}, 0),
	)
	if err != nil {
		return 0, err
	}
	mnt, err := disk.Attach(ctx, image)
	if err != nil {
		return 0, err
	}
	defer mnt.Close()
	tree, err := disk.CloneTree(layers, false, true)
	if err != nil {
		return 1, err
	}
	defer tree.Close()
	return runProbe(ctx, c, mnt, tree)
}

// runProbe starts the probe in namespaces like a sandbox's, maps the mounts for it, and lets it go.
func runProbe(ctx context.Context, c Config, mnt, tree *os.File) (part int, err error) {
	wait, release, err := os.Pipe()
	if err != nil {
		return 1, err
	}
	defer release.Close()
	defer wait.Close()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Probe[0], c.Probe[1:]...) // #nosec G204 -- this program
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{wait, mnt, tree}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: probeUID, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{},
	}
	if err := chroot.Thread(cmd.Start); err != nil {
		return 1, fmt.Errorf("user namespace: %w", err)
	}
	err = idmap(cmd.Process.Pid, mnt, tree)
	if err != nil {
		_ = cmd.Process.Kill()
		return 1, errors.Join(err, ignoreExit(cmd.Wait()))
	}
	_ = release.Close()
	if err := cmd.Wait(); err != nil {
		return 2, fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return 0, nil
}

func idmap(pid int, mounts ...*os.File) error {
	userns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return err
	}
	defer userns.Close()
	for _, m := range mounts {
		if err := disk.Idmap(m, userns); err != nil {
			return err
		}
	}
	return nil
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
