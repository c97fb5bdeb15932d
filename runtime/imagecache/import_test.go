package imagecache_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"berth/runtime/imagecache"
)

func TestImportRootFS(t *testing.T) {
	c, dir := open(t)
	created := time.Unix(1_700_000_000, 0).UTC()
	got, err := c.ImportRootFS(t.Context(), tarFile(t, "bin/sh", "etc/x"), imagecache.RootFSOptions{
		Name: "debian", Cmd: []string{"bash"}, Env: []string{"LANG=C.UTF-8"}, Created: created,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"debian", "debian:latest", "docker.io/library/debian", "docker.io/library/debian:latest", got.ID, got.ID[7:19]} {
		i, err := c.Resolve(ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if i.ID != got.ID || i.Name != "debian:latest" || i.Config.Cmd[0] != "bash" || !i.Created.Equal(created) || i.Size != 11 {
			t.Errorf("%s is %+v", ref, i)
		}
		if env := strings.Join(i.Config.Env, " "); !strings.HasPrefix(env, "PATH=/usr/local/sbin:") || !strings.HasSuffix(env, " LANG=C.UTF-8") {
			t.Errorf("environment is %q", env)
		}
		wantFiles(t, c, i, "bin/sh", "etc/x")
	}
	for path, mode := range map[string]os.FileMode{"": 0o700, "layers": 0o755, "layers/" + got.LayerDirs()[0]: 0o755} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, %v", path, info.Mode(), err)
		}
	}
	wantClean(t, dir)
}

func TestResolveUnknown(t *testing.T) {
	c, _ := open(t)
	_, err := c.Resolve("nothing:here")
	if !errors.Is(err, imagecache.ErrNotFound) || !strings.Contains(err.Error(), "berth image pull nothing:here") ||
		!strings.Contains(err.Error(), "berth image import") {
		t.Errorf("error is %v", err)
	}
	if _, err := c.Resolve("No Such"); err == nil || errors.Is(err, imagecache.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

// exports writes img in every form that import reads.
func exports(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	dir := t.TempDir()
	paths := map[string]string{}
	for _, n := range []string{"saved.tar", "saved.tar.gz", "layout", "layout.tar"} {
		paths[n] = filepath.Join(dir, n)
	}
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(paths["saved.tar"], tag, img); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(paths["saved.tar"])
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), os.WriteFile(paths["saved.tar.gz"], z.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	// The image of this platform stands in an index, beside another.
	other := mutate.MediaType(imageOf(t, []string{"wrong"}), "application/vnd.oci.image.manifest.v1+json")
	idx := mutate.AppendManifests(emptyIndex(),
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "z80"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: goarch}}})
	p, err := layout.Write(paths["layout"], emptyIndex())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendIndex(idx, layout.WithAnnotations(map[string]string{"io.containerd.image.name": "example.com/app:1"})); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", paths["layout"], "-cf", paths["layout.tar"], ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return paths
}

func TestImportEveryExport(t *testing.T) {
	img := imageOf(t, []string{"low", "both"}, []string{"high"}, []string{"low", "both"})
	for form, path := range exports(t, img) {
		for wanted, want := range map[string]string{"": "example.com/app:1", "mine": "mine:latest"} {
			t.Run(form+" "+wanted, func(t *testing.T) {
				c, dir := open(t)
				got, err := c.Import(t.Context(), path, imagecache.ImportOptions{Name: wanted, Progress: func(l string) { t.Log(l) }})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || got[0].Name != want || got[0].ID != idOf(t, img) || len(got[0].Layers) != 3 {
					t.Fatalf("imported %+v", got)
				}
				// The layer that is there twice is mounted once, in its highest place.
				if dirs := got[0].LayerDirs(); len(dirs) != 2 || "sha256:"+dirs[1] != got[0].Layers[0].DiffID {
					t.Errorf("directories are %v", dirs)
				}
				wantFiles(t, c, got[0], "low", "both", "high")
				wantClean(t, dir)
			})
		}
	}
}

// rewrite changes the manifest.json of a saved archive.
func rewrite(t *testing.T, path string, change func(manifest []map[string]any, dir string)) string {
	t.Helper()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "changed.tar")
	run := func(args ...string) {
		if out, err := exec.CommandContext(t.Context(), "tar", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run("-C", dir, "-xf", path)
	body, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest []map[string]any
	if err := json.Unmarshal(body, &manifest); err != nil {
		t.Fatal(err)
	}
	change(manifest, dir)
	if body, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), body, 0o600); err != nil {
		t.Fatal(err)
	}
	run("-C", dir, "-cf", out, ".")
	return out
}

func TestImportRefuses(t *testing.T) {
	saved := exports(t, imageOf(t, []string{"a"}, []string{"b"}))["saved.tar"]
	first := func(m []map[string]any) string { return m[0]["Layers"].([]any)[0].(string) }
	for name, c := range map[string]struct {
		change func(m []map[string]any, dir string)
		says   string
	}{
		"no name":           {func(m []map[string]any, _ string) { m[0]["RepoTags"] = nil }, "--name"},
		"missing layer":     {func(m []map[string]any, dir string) { _ = os.Remove(filepath.Join(dir, first(m))) }, "missing"},
		"one layer less":    {func(m []map[string]any, _ string) { m[0]["Layers"] = m[0]["Layers"].([]any)[:1] }, "config speaks of 2"},
		"layers exchanged":  {func(m []map[string]any, _ string) { l := m[0]["Layers"].([]any); l[0], l[1] = l[1], l[0] }, "not what the image's config promises"},
		"config is a layer": {func(m []map[string]any, _ string) { m[0]["Config"] = first(m) }, "config is damaged"},
		"config outside":    {func(m []map[string]any, _ string) { m[0]["Config"] = "../../etc/passwd" }, "missing"},
		"huge config": {func(m []map[string]any, dir string) {
			m[0]["Config"] = "huge"
			_ = os.WriteFile(filepath.Join(dir, "huge"), make([]byte, 9<<20), 0o600)
		}, "the most is"},
		"layer with dot dot": {func(m []map[string]any, dir string) {
			_ = os.WriteFile(filepath.Join(dir, first(m)), tarOf(t, "../../x"), 0o600)
		}, `"../../x"`},
		"none": {func(m []map[string]any, _ string) { m[0] = map[string]any{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cache, dir := open(t)
			_, err := cache.Import(t.Context(), rewrite(t, saved, c.change), imagecache.ImportOptions{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
			if images, err := cache.List(); err != nil || len(images) > 0 {
				t.Errorf("there are %v, %v", images, err)
			}
			if _, err := cache.Prune(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(cache.LayersDir()); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			wantClean(t, dir)
		})
	}
}

// A layer that is there is not unpacked again, and a name that moves takes the old image's own layers with it.
func TestSharedLayersAndMovedNames(t *testing.T) {
	c, dir := open(t)
	for i, img := range []v1.Image{imageOf(t, []string{"base"}, []string{"one"}), imageOf(t, []string{"base"}, []string{"two"})} {
		var lines lineLog
		got, err := c.Import(t.Context(), exports(t, img)["saved.tar"], imagecache.ImportOptions{Progress: lines.add})
		if err != nil {
			t.Fatal(err)
		}
		if there := strings.Contains(lines.String(), "already there"); there != (i == 1) {
			t.Errorf("image %d: %v", i, lines.String())
		}
		wantFiles(t, c, got[0], "base")
	}
	if layers, err := os.ReadDir(c.LayersDir()); err != nil || len(layers) != 2 {
		t.Errorf("layers are %v, %v", layers, err)
	}
	if blobs, err := os.ReadDir(filepath.Join(dir, "blobs")); err != nil || len(blobs) != 1 {
		t.Errorf("blobs are %v, %v", blobs, err)
	}
}
