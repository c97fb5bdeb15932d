package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/disk"
)

// The test binary runs itself again as the sandbox; the variable says what it does there.
const insideVar = "BERTH_TEST_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(insideVar) != "" {
		if err := inside(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const mappedRoot = 1_000_000_000 // first host uid of the namespaces that the tests make

var limits = quotas.Limits{DiskBytes: 128 << 20, DiskInodes: 8192}

// newImage makes an image, and checks in the end that no loop device and no mount is left of it.
func newImage(t testing.TB, l quotas.Limits) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes loop devices")
	}
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := disk.Create(t.Context(), path, l, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		waitFree(t, path)
		if b, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(b), "/dev/loop") {
			t.Errorf("a loop device is mounted on the host:\n%s", b)
		}
	})
	return path
}

func attach(t testing.TB, path string) *os.File {
	t.Helper()
	mnt, err := disk.Attach(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mnt.Close() })
	return mnt
}

// waitFree waits until the kernel has let the image's loop device go.
func waitFree(t testing.TB, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		devices, err := disk.InUse(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(devices) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("still attached to %v: %v", devices, disk.Detach(path))
			return
		}
	}
}

// in is a path on a mount that is nowhere in the tree.
func in(mnt *os.File, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", mnt.Fd(), name) }

func TestBytesAreHardAndComeBack(t *testing.T) {
	path := newImage(t, limits)
	mnt := attach(t, path)
	if devices, err := disk.InUse(path); err != nil || len(devices) != 1 {
		t.Fatalf("in use by %v, %v", devices, err)
	}
	before, err := disk.Growth(path)
	if err != nil || before < limits.DiskBytes*9/10 {
		t.Fatalf("a new image may grow by %d of %d bytes: not sparse (%v)", before, limits.DiskBytes, err)
	}
	f, err := os.Create(in(mnt, "full"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(f, &pattern{})
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("after %d bytes: %v, want ENOSPC", n, err)
	}
	if n > limits.DiskBytes || n < limits.DiskBytes*8/10 {
		t.Errorf("%d bytes went on a disk of %d", n, limits.DiskBytes)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if s, err := disk.Usage(mnt); err != nil || s.Free > 64<<10 || s.Used < n {
		t.Errorf("usage of a full disk: %+v, %v", s, err)
	}
	full, err := disk.Growth(path)
	if err != nil || full > limits.DiskBytes/4 {
		t.Errorf("a full image may still grow by %d, %v", full, err)
	}
	if err := os.Remove(in(mnt, "full")); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(in(mnt, "."))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		t.Fatal(err)
	}
	waitGrowth(t, path, limits.DiskBytes*9/10)
}

// waitGrowth waits until deleted blocks are back on the host: the file system gives them back after a commit.
func waitGrowth(t *testing.T, path string, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		growth, err := disk.Growth(path)
		if err != nil {
			t.Fatal(err)
		}
		if growth >= want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("deleted inside, but not given back: may grow by %d, want %d", growth, want)
		}
	}
}

// pattern is data without end that no file system stores as a hole.
type pattern struct{}

func (*pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0xa5
	}
	return len(p), nil
}

func TestAMillionEmptyFilesMeetTheLimit(t *testing.T) {
	mnt := attach(t, newImage(t, limits))
	made := int64(0)
	var err error
	for ; made < 1_000_000; made++ {
		var fd int
		fd, err = unix.Openat(int(mnt.Fd()), fmt.Sprint(made), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			break
		}
		_ = unix.Close(fd)
	}
	if !errors.Is(err, unix.ENOSPC) || made > limits.DiskInodes || made < limits.DiskInodes-16 {
		t.Errorf("%d files on %d inodes, then %v", made, limits.DiskInodes, err)
	}
	if s, err := disk.Usage(mnt); err != nil || s.InodesFree != 0 || s.InodesUsed != limits.DiskInodes || s.Free == 0 {
		t.Errorf("usage %+v, %v", s, err)
	}
}

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
	if err := cmd.Start(); err != nil {
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

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk.img")
	if err := disk.Create(t.Context(), path, limits, 1<<62); !errors.Is(err, disk.ErrHostFull) {
		t.Errorf("a full host: %v", err)
	}
	if err := disk.Create(t.Context(), path, quotas.Limits{DiskBytes: 1, DiskInodes: 1}, 0); err == nil {
		t.Error("a disk of one byte was made")
	}
	if err := disk.Create(t.Context(), path, quotas.Limits{DiskBytes: 64 << 20, DiskInodes: 1 << 40}, 0); err == nil {
		t.Error("mkfs with impossible inodes succeeded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := disk.Create(ctx, path, limits, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := disk.Create(t.Context(), path, limits, 0); err != nil {
		t.Fatal(err)
	}
	if err := disk.Create(t.Context(), path, limits, 0); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an existing disk: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the existing disk is gone: %v", err)
	}
}

func TestAttachRefusesGarbage(t *testing.T) {
	path := newImage(t, limits)
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if mnt, err := disk.Attach(t.Context(), path); err == nil {
		_ = mnt.Close()
		t.Error("a file without a file system was mounted")
	}
}

func TestManyAtOnce(t *testing.T) {
	const n = 12
	errs := make(chan error, n)
	for range n {
		path := newImage(t, limits)
		go func() {
			mnt, err := disk.Attach(t.Context(), path)
			if err == nil {
				err = mnt.Close()
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestDetachOfARemnant(t *testing.T) {
	path := newImage(t, limits)
	mnt := attach(t, path)
	if err := disk.Detach(path); err != nil { // still mounted: freed later
		t.Fatal(err)
	}
	if devices, err := disk.InUse(path); err != nil || len(devices) != 1 {
		t.Errorf("a mounted disk lost its device: %v, %v", devices, err)
	}
	_ = mnt.Close()
	waitFree(t, path)
	if err := disk.Detach(path); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func BenchmarkCreate(b *testing.B) {
	path := filepath.Join(b.TempDir(), "disk.img")
	for b.Loop() {
		l := quotas.Limits{DiskBytes: 2 << 30, DiskInodes: 131072}
		if err := errors.Join(disk.Create(b.Context(), path, l, 0), os.Remove(path)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	path := newImage(b, quotas.Limits{DiskBytes: 2 << 30, DiskInodes: 131072})
	for b.Loop() {
		mnt, err := disk.Attach(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		_ = mnt.Close()
	}
}
