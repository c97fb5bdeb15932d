package unpack_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/imagecache/unpack"
)

// Under systemd every mount is shared, and so are copies of it: pivot_root(2) refused the child's.
func TestLayerOnASharedMount(t *testing.T) {
	needRoot(t)
	layer := filepath.Join(sharedMount(t), "layer")
	if err := os.Mkdir(layer, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack.Layer(t.Context(), layer, stream(archive(t, file("name", "body"))), unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(layer, "name")); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
}

// sharedMount returns a directory of the test that is a shared mount until the test ends.
func sharedMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}
