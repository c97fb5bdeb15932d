package imagecache_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"berth/runtime/imagecache"
	"berth/runtime/imagecache/unpack"
)

const importCommand = "import-rootfs" // of the test binary: DIR FILE NAME

// TestMain makes the test binary serve as the unpacking child, and as another berth process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == unpack.ChildCommand {
		os.Exit(unpack.Child())
	}
	if len(os.Args) == 5 && os.Args[1] == importCommand {
		if err := importRootFS(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func importRootFS(dir, file, name string) error {
	c, err := imagecache.Open(dir)
	if err != nil {
		return err
	}
	_, err = c.ImportRootFS(context.Background(), file, imagecache.RootFSOptions{Name: name})
	return err
}

func open(t testing.TB) (*imagecache.Cache, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: layers are unpacked in user namespaces, with files of every owner")
	}
	dir := filepath.Join(t.TempDir(), "images")
	c, err := imagecache.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// tarOf is an archive of files with their names as contents.
func tarOf(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: n, Mode: 0o644, Size: int64(len(n))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarFile(t testing.TB, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rootfs.tar")
	if err := os.WriteFile(path, tarOf(t, names...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// imageOf is an image with one uncompressed layer for each list of files.
func imageOf(t testing.TB, layers ...[]string) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, names := range layers {
		var err error
		img, err = mutate.AppendLayers(img, static.NewLayer(tarOf(t, names...), types.OCIUncompressedLayer))
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", goarch
	config.Config.Cmd = []string{"sh"}
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func idOf(t testing.TB, img v1.Image) string {
	t.Helper()
	h, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// wantFiles checks that an image's layers hold these files.
func wantFiles(t testing.TB, c *imagecache.Cache, img imagecache.Image, names ...string) {
	t.Helper()
	for _, n := range names {
		found := false
		for _, d := range img.LayerDirs() {
			body, err := os.ReadFile(filepath.Join(c.LayersDir(), d, n))
			found = found || err == nil && string(body) == n
		}
		if !found {
			t.Errorf("%s is in no layer of %s", n, img.Name)
		}
	}
}

// wantClean checks that nothing is left of writers.
func wantClean(t testing.TB, dir string) {
	t.Helper()
	for _, sub := range []string{"staging", "trash"} {
		left, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", sub, left, err)
		}
	}
}

// lineLog collects progress lines from several goroutines.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
