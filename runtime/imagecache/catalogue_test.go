package imagecache_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"berth/runtime/imagecache"
	"berth/runtime/imagecache/catalogue"
)

func importImage(t *testing.T, c *imagecache.Cache, tag string, img v1.Image) imagecache.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, ref, img); err != nil {
		t.Fatal(err)
	}
	images, err := c.Import(t.Context(), path, imagecache.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

// A reader that opened the catalogue before an image came sees it, and what it says of leases is nothing.
func TestCatalogueIsLive(t *testing.T) {
	c, _ := open(t)
	r := catalogue.NewReader(c.CatalogueDir())
	if x, err := r.Index(); err != nil || len(x.Names) > 0 {
		t.Fatal(x, err)
	}
	img := importImage(t, c, "one", imageOf(t, []string{"a"}))
	if _, err := c.Use("secret-session", "one"); err != nil {
		t.Fatal(err)
	}
	importImage(t, c, "two", imageOf(t, []string{"b"}))
	x, err := r.Index()
	if err != nil {
		t.Fatal(err)
	}
	id := x.Names["docker.io/library/one:latest"]
	if id != img.ID || len(x.Images[id].Layers) != 1 || x.Layers[img.Layers[0].DiffID].Size != img.Layers[0].Size {
		t.Errorf("the catalogue is %+v", x)
	}
	if _, err := r.Blob(id); err != nil {
		t.Error(err)
	}
	archive := x.Layers[img.Layers[0].DiffID].Archive
	if archive == nil {
		t.Fatal("the layer has no archive")
	}
	b, err := os.ReadFile(r.ArchivePath(img.Layers[0].DiffID))
	if err != nil || digestHash(t, b).String() != archive.Digest || int64(len(b)) != archive.Size {
		t.Errorf("the layer's archive is %d bytes, %v: not %+v", len(b), err, archive)
	}
	entries, err := filepath.Glob(filepath.Join(c.CatalogueDir(), "*"))
	if err != nil || len(entries) != 3 {
		t.Errorf("the catalogue's directory holds %v, %v", entries, err)
	}
}

// What a sandbox may have in use stays until it has ended, though the image is gone, and although a later sandbox lives.
func TestRemovedImageStaysForThoseWhoSawIt(t *testing.T) {
	c, _ := open(t)
	importImage(t, c, "workspace", imageOf(t, []string{"w"}))
	img := importImage(t, c, "extra", imageOf(t, []string{"a"}))
	layer := filepath.Join(c.LayersDir(), img.LayerDirs()[0])
	if _, err := c.Use("early", "workspace"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Remove("extra"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Use("late", "workspace"); err != nil {
		t.Fatal(err)
	}
	x, err := catalogue.NewReader(c.CatalogueDir()).Index()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := x.Layers[img.Layers[0].DiffID]; ok || len(x.Images) != 1 {
		t.Errorf("the catalogue still offers what is doomed: %+v", x)
	}
	for range 2 { // also not at the second look
		if _, err := c.Prune(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(layer); err != nil {
		t.Errorf("a layer went under a living sandbox: %v", err)
	}
	if err := c.Release("early"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prune(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(layer); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the layer outlives all who saw it: %v", err)
	}
}

// A doomed layer that comes again is as good as new.
func TestDoomedLayerComesAgain(t *testing.T) {
	c, _ := open(t)
	importImage(t, c, "workspace", imageOf(t, []string{"w"}))
	extra := imageOf(t, []string{"a"})
	importImage(t, c, "extra", extra)
	if _, err := c.Use("s", "workspace"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Remove("extra"); err != nil {
		t.Fatal(err)
	}
	img := importImage(t, c, "extra", extra)
	if err := c.Release("s"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prune(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, c, img, "a")
	x, err := catalogue.NewReader(c.CatalogueDir()).Index()
	if err != nil || x.Layers[img.Layers[0].DiffID].Size == 0 {
		t.Errorf("the catalogue is %+v, %v", x, err)
	}
}
