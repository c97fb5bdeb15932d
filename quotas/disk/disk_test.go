package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
