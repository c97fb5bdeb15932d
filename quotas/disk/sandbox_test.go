package disk_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"berth/quotas/disk"
	"berth/runtime/chroot"

	"golang.org/x/sys/unix"
)

// The whole story: the sandbox gets the disk and the shared layers, idmapped, and takes both with it when it dies.
func TestSandboxSeesNaturalIDs(t *testing.T) {
	path := newImage(t, limits)
	mnt := attach(t, path)
	layers := t.TempDir()
	if err := os.WriteFile(filepath.Join(layers, "file"), []byte("layer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(layers, "file"), 33, 33); err != nil {
		t.Fatal(err)
	}
	tree, err := disk.CloneTree(layers, false, true)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()

	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{insideVar + "=1"}
	cmd.Stdout, cmd.Stderr = &out, &out
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: mappedRoot, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{},
	}
	go0, go1, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer go1.Close()
	cmd.ExtraFiles = []*os.File{go0, mnt, tree}
	if err := chroot.Thread(cmd.Start); err != nil {
		t.Fatal(err)
	}
	_ = go0.Close()
	userns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer userns.Close()
	for _, m := range []*os.File{mnt, tree} {
		if err := disk.Idmap(m, userns); err != nil {
			t.Fatal(err)
		}
		_ = m.Close()
	}
	_ = go1.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	waitFree(t, path)

	// On the disk the ids are the natural ones, not the namespace's.
	again := attach(t, path)
	var st unix.Stat_t
	if err := unix.Stat(in(again, "mine"), &st); err != nil || st.Uid != 1000 {
		t.Errorf("uid on disk %d, %v; want 1000", st.Uid, err)
	}
}

// inside is the sandbox: root of a user namespace, with the mounts as descriptors 4 and 5.
func inside() error {
	if _, err := os.NewFile(3, "go").Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for the parent: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for i, dir := range []string{"/tmp/disk", "/tmp/layers", "/tmp/merged"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if i < 2 {
			if err := disk.Move(os.NewFile(uintptr(4+i), dir), dir); err != nil {
				return err
			}
		}
	}
	var st unix.Stat_t
	if err := unix.Stat("/tmp/layers/file", &st); err != nil || st.Uid != 33 {
		return fmt.Errorf("uid of a layer's file: %d, %w", st.Uid, err)
	}
	if err := os.WriteFile("/tmp/layers/file", nil, 0o644); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("layers can be written: %w", err)
	}
	if err := unix.Mknod("/tmp/disk/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err == nil {
		return errors.New("a device file could be made")
	}
	if err := os.WriteFile("/tmp/disk/mine", []byte("x"), 0o600); err != nil {
		return err
	}
	if err := os.Chown("/tmp/disk/mine", 1000, 1000); err != nil {
		return err
	}
	for _, dir := range []string{"/tmp/disk/upper", "/tmp/disk/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	err := unix.Mount("overlay", "/tmp/merged", "overlay", 0,
		"userxattr,lowerdir=/tmp/layers,upperdir=/tmp/disk/upper,workdir=/tmp/disk/work")
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if err := os.Remove("/tmp/merged/file"); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	if err := unix.Stat("/tmp/merged/file", &st); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("whiteout: %w", err)
	}
	return nil
}
