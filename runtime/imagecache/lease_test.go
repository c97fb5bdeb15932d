package imagecache_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth/runtime/imagecache"
)

func imported(t testing.TB, c *imagecache.Cache, name string, files ...string) imagecache.Image {
	t.Helper()
	img, err := c.ImportRootFS(t.Context(), tarFile(t, files...), imagecache.RootFSOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestLeaseKeepsLayers(t *testing.T) {
	c, dir := open(t)
	imported(t, c, "a", "file")
	img, err := c.Use("sandbox1", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Use("sandbox1", "a"); err != nil {
		t.Fatal("a second Use with the same id:", err)
	}
	r, err := c.Remove("a")
	if err != nil || r.Layers != 0 || r.Leased != 1 || !slices.Equal(r.Names, []string{"a:latest"}) {
		t.Fatalf("removed %+v, %v", r, err)
	}
	if _, err := c.Resolve("a"); !errors.Is(err, imagecache.ErrNotFound) {
		t.Errorf("the name is still there: %v", err)
	}
	imported(t, c, "other", "else") // an import collects as well
	wantFiles(t, c, img, "file")
	leases, err := c.Leases()
	if err != nil || len(leases) != 1 || leases["sandbox1"] != img.ID {
		t.Errorf("leases are %v, %v", leases, err)
	}
	for range 2 { // idempotent
		if err := c.Release("sandbox1"); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.Prune(); err != nil || r.Layers != 1 || r.Bytes != 4 {
		t.Errorf("pruned %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(c.LayersDir(), img.LayerDirs()[0])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the layer is still there: %v", err)
	}
	wantClean(t, dir)
}

func TestUseRefuses(t *testing.T) {
	c, _ := open(t)
	imported(t, c, "a", "file")
	for _, id := range []string{"", "..", "../x", "a/b", ".hidden", "x.new", strings.Repeat("x", 200)} {
		if _, err := c.Use(id, "a"); err == nil {
			t.Errorf("%q was accepted", id)
		}
		if err := c.Release(id); err != nil {
			t.Errorf("release %q: %v", id, err)
		}
	}
	if _, err := c.Use("ok", "missing"); !errors.Is(err, imagecache.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	if leases, err := c.Leases(); err != nil || len(leases) != 0 {
		t.Errorf("leases are %v, %v", leases, err)
	}
}

func TestRemove(t *testing.T) {
	c, _ := open(t)
	img := imported(t, c, "a:1", "same")
	imported(t, c, "b", "same") // the same layer and config, another name
	imported(t, c, "c", "different")
	if _, err := c.Remove("a:1", "missing"); !errors.Is(err, imagecache.ErrNotFound) {
		t.Fatalf("error is %v", err)
	}
	if _, err := c.Resolve("a:1"); err != nil {
		t.Fatal("something was removed although one was missing:", err)
	}
	if r, err := c.Remove("a:1"); err != nil || r.Layers != 0 {
		t.Errorf("removed %+v, %v", r, err)
	}
	wantFiles(t, c, img, "same")
	if r, err := c.Remove(img.ID); err != nil || r.Layers != 1 || !slices.Equal(r.Names, []string{"b:latest"}) {
		t.Errorf("removed %+v, %v", r, err)
	}
	if images, err := c.List(); err != nil || len(images) != 1 || images[0].Name != "c:latest" {
		t.Errorf("left are %v, %v", images, err)
	}
}
