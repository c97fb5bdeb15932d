package layers_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image"
	"berth/runtime/engine/image/layers"
)

// world is a store of images and an Inspector over it.
type world struct {
	t      *testing.T
	dir    string
	images *image.Store
	*layers.Inspector
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces of its own")
	}
	w := &world{t: t, dir: t.TempDir()}
	var err error
	w.images, err = image.Open(t.Context(), image.Options{Dir: w.dir})
	must(t, err)
	t.Cleanup(func() { must(t, w.images.Close()) })
	w.Inspector = layers.New(w.images, w.kept(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	return w
}

func (w *world) kept() string { return filepath.Join(w.dir, "layers") }

// imported makes an image of one layer.
func (w *world) imported(name string, members ...tar.Header) {
	w.t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, h := range members {
		text := ""
		if h.Typeflag == tar.TypeReg {
			text = h.Linkname
			h.Linkname, h.Size, h.Mode = "", int64(len(text)), 0o644
		}
		h.ModTime = time.Unix(1_700_000_000, 0)
		must(w.t, tw.WriteHeader(&h))
		_, err := io.WriteString(tw, text)
		must(w.t, err)
	}
	must(w.t, tw.Close())
	_, err := w.images.Import(w.t.Context(), &b, image.ImportOptions{Repo: name, Tag: "latest", Changes: []string{"ENV A=1", "CMD run"}, Message: "Imported from -"})
	must(w.t, err)
}

func file(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text}
}

func symlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

// committed changes a container of an image and makes an image of it.
func (w *world) committed(from, name string, change func(root string)) {
	w.t.Helper()
	img, err := w.images.Get(w.t.Context(), from)
	must(w.t, err)
	must(w.t, w.images.NewRoot(w.t.Context(), name, img.ID))
	root := filepath.Join(w.t.TempDir(), "root")
	must(w.t, w.images.MountRoot(w.t.Context(), name, root))
	change(root)
	_, err = w.images.Commit(w.t.Context(), name, image.CommitOptions{Repo: name, Tag: "latest", Changes: []string{"ENV B=" + name, "CMD echo '<" + name + ">'"}})
	must(w.t, errors.Join(err, w.images.UnmountRoot(w.t.Context(), name, root), w.images.RemoveRoot(w.t.Context(), name)))
}

func (w *world) read(ref string, layer int, name string) (string, error) {
	f, err := w.Open(w.t.Context(), ref, layer, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

func (w *world) furnished() {
	w.imported("base", file("etc/passwd", "root:x:0:0::/:\napp:x:1000:1000::/:\n"), file("etc/group", "app:x:1000:\n"), file("data/a", "first"),
		file("usr/lib/os-release", "NAME=x"), symlink("etc/os-release", "../usr/lib/os-release"), symlink("abs", "/data/a"),
		symlink("out", "../../../../../../etc/hostname"), symlink("loop", "loop"), symlink("dir", "/data"))
	w.committed("base", "next", func(root string) {
		must(w.t, os.WriteFile(filepath.Join(root, "data/a"), []byte("second"), 0o644))
		must(w.t, os.Chown(filepath.Join(root, "data/a"), 1000, 1000))
		must(w.t, os.Remove(filepath.Join(root, "usr/lib/os-release")))
		must(w.t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o600))
	})
}

func TestInspectImage(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	img, err := w.Image(t.Context(), "next")
	must(t, err)
	if len(img.Layers) != 2 || img.Layers[0].Instruction != "Imported from -" || img.Layers[1].Files.Changed != 1 || img.Layers[1].Files.Removed != 1 ||
		img.Layers[1].Size != 6 || img.Layers[1].DiffID == "" || img.Layers[0].Digest == "" || len(img.Config.Env) != 2 {
		t.Errorf("%+v", img)
	}
	if img.Waste.Bytes != 11 || img.Waste.Files[0].Layers[1] != 1 {
		t.Errorf("%+v", img.Waste)
	}
	if _, err := w.Image(t.Context(), "none"); !errdefs.IsNotFound(err) {
		t.Errorf("an image that is not there: %v", err)
	}
	p, err := w.Tree(t.Context(), "next", layers.Query{Layer: -1, Path: "/data", Merged: true, Limit: 10})
	must(t, err)
	if e := p.Entries[0]; e.Owner != "app" || e.Group != "app" || e.Change != "changed" || *e.Before != 5 || e.Mode != "-rw-r--r--" {
		t.Errorf("%+v", e)
	}
	if _, err := w.Tree(t.Context(), "next", layers.Query{Layer: 7}); !errdefs.IsNotFound(err) {
		t.Errorf("a layer that is not there: %v", err)
	}
}

// TestEmptySteps has steps of a history that made no layer: their tree is that of the layer below.
func TestEmptySteps(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	w.committed("next", "meta", func(string) {})
	img, err := w.Image(t.Context(), "meta")
	must(t, err)
	if l := img.Layers[2]; len(img.Layers) != 3 || !l.Empty || l.DiffID != "" || l.Size != 0 {
		t.Fatalf("%+v", img.Layers)
	}
	p, err := w.Tree(t.Context(), "meta", layers.Query{Layer: 2, Merged: true, Limit: 1})
	must(t, err)
	own, err := w.Tree(t.Context(), "meta", layers.Query{Layer: 2, Limit: 1})
	must(t, err)
	if p.Total < 5 || own.Total != 0 {
		t.Errorf("%d merged, %d of its own", p.Total, own.Total)
	}
}

func TestReadFile(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	for _, c := range []struct {
		layer      int
		name, want string
	}{
		{0, "/data/a", "first"},
		{1, "/data/a", "second"},
		{-1, "data/a", "second"},
		{0, "/etc/os-release", "NAME=x"},
		{0, "/abs", "first"},
		{1, "/abs", "second"},
		{0, "/dir/a", "first"},
		{0, "/dir/../data/./a", "first"},
	} {
		if got, err := w.read("next", c.layer, c.name); got != c.want || err != nil {
			t.Errorf("%s as of %d: %q, %v", c.name, c.layer, got, err)
		}
	}
	for name, is := range map[string]func(error) bool{
		"/out": errdefs.IsNotFound, "/../../../etc/hostname": errdefs.IsNotFound, "/none": errdefs.IsNotFound, "/data/a/x": errdefs.IsNotFound,
		"/etc/os-release": errdefs.IsNotFound, "/loop": errdefs.IsFailedPrecondition, "/data": errdefs.IsFailedPrecondition, "/": errdefs.IsFailedPrecondition,
		"/pipe": errdefs.IsFailedPrecondition, "/data/\x00": errdefs.IsNotFound,
	} {
		if got, err := w.read("next", 1, name); !is(err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestLayerThatLies replaces what an index has seen: a directory by a link out of the layer, a file by a pipe and by a link.
func TestLayerThatLies(t *testing.T) {
	w := newWorld(t)
	secret := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(secret, []byte("secret"), 0o644))
	w.imported("liar", file("d/a", "open"), file("pipe", "open"), file("link", "open"))
	if _, err := w.Image(t.Context(), "liar"); err != nil {
		t.Fatal(err)
	}
	img, err := w.images.Get(t.Context(), "liar")
	must(t, err)
	dirs, release, err := w.images.LayerDirs(t.Context(), img)
	must(t, err)
	defer release()
	at := func(name string) string { return filepath.Join(dirs[0], name) }
	must(t, errors.Join(os.RemoveAll(at("d")), os.Symlink(filepath.Dir(secret), at("d")), os.Remove(at("pipe")), unix.Mkfifo(at("pipe"), 0o600),
		os.Remove(at("link")), os.Symlink(secret, at("link"))))
	for _, name := range []string{"/d/a", "/pipe", "/link"} {
		if got, err := w.read("liar", 0, name); err == nil {
			t.Errorf("%s reads %q", name, got)
		}
	}
}

// TestIndexesAreKept opens an image with another Inspector: layers are not read again, unless what is kept is broken.
func TestIndexesAreKept(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	first, err := w.Image(t.Context(), "next")
	must(t, err)
	img, err := w.images.Get(t.Context(), "next")
	must(t, err)
	dirs, release, err := w.images.LayerDirs(t.Context(), img)
	must(t, err)
	defer release()
	must(t, os.WriteFile(filepath.Join(dirs[1], "unseen"), nil, 0o644)) // a sign of whether it is read again
	added := func() int {
		t.Helper()
		i := layers.New(w.images, w.kept(), slog.New(slog.DiscardHandler))
		again, err := i.Image(t.Context(), "next")
		must(t, err)
		return again.Layers[1].Files.Added - first.Layers[1].Files.Added
	}
	if added() != 0 {
		t.Error("the layers were read again")
	}
	list, err := filepath.Glob(filepath.Join(w.kept(), "*"))
	must(t, err)
	if len(list) != 2 || !strings.HasSuffix(list[0], ".idx") {
		t.Fatalf("kept are %v", list)
	}
	for _, name := range list {
		must(t, os.WriteFile(name, []byte("berth layer \x01 and garbage"), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(w.kept(), ".new-half"), []byte("x"), 0o600))
	if added() != 1 {
		t.Error("a broken index was believed")
	}
	if _, err := os.Stat(filepath.Join(w.kept(), ".new-half")); !errors.Is(err, os.ErrNotExist) {
		t.Error("what a killed process has left is still there")
	}
	if added() != 1 {
		t.Error("the new index is not kept")
	}
}

func TestCompare(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	w.committed("base", "other", func(root string) {
		must(t, os.WriteFile(filepath.Join(root, "data/a"), []byte("fifth"), 0o644)) // as long as "first"
		must(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("app:x:1000:\n"), 0o644))
		must(t, os.MkdirAll(filepath.Join(root, "new/sub"), 0o755))
		must(t, os.WriteFile(filepath.Join(root, "new/sub/x"), []byte("123"), 0o644))
		must(t, os.Remove(filepath.Join(root, "etc/passwd")))
	})
	c, err := w.Compare(t.Context(), "base", "other")
	must(t, err)
	var got []string
	for _, d := range c.Files.Entries {
		got = append(got, fmt.Sprint(d.Change, d.Path, " ", d.Before, d.After, d.Why))
	}
	if want := "[removed/etc/passwd 41 0 changed/data/a 5 5content added/new 0 3]"; fmt.Sprint(got) != strings.ReplaceAll(want, " 41 0", fmt.Sprint(" ", len("root:x:0:0::/:\napp:x:1000:1000::/:\n"), " 0")) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if c.Shared.Layers != 1 || len(c.Layers) != 2 || c.Layers[1].In != "b" || c.Files.Added != 1 || c.Files.Changed != 1 || c.Files.Removed != 1 {
		t.Errorf("%+v", c)
	}
	if want := []layers.Field{{Name: "Cmd", A: `["/bin/sh","-c","run"]`, B: `["/bin/sh","-c","echo '<other>'"]`}, {Name: "Env B", B: "other"}}; !slices.Equal(c.Config, want) {
		t.Errorf("the configuration: %+v", c.Config)
	}
	same, err := w.Compare(t.Context(), "other", "other")
	must(t, err)
	if same.Files.Count != 0 || len(same.Config) != 0 || same.Shared.Layers != 2 {
		t.Errorf("an image with itself: %+v", same)
	}
}

// TestFewStacksAreKept opens more images than stay in memory; those that have gone are there again when they are asked for.
func TestFewStacksAreKept(t *testing.T) {
	w := newWorld(t)
	for round := range 2 {
		for i := range 7 {
			name := fmt.Sprint("image-", i)
			if round == 0 {
				w.imported(name, file("name", name))
			}
			if got, err := w.read(name, -1, "/name"); got != name || err != nil {
				t.Errorf("%s holds %q, %v", name, got, err)
			}
			if n := w.Kept(); n < 1 || n > 4 {
				t.Errorf("%d are kept", n)
			}
		}
		w.Forget()
		if n := w.Kept(); n != 0 {
			t.Errorf("%d are kept when nobody asks", n)
		}
	}
}

// TestManyAskAtOnce has one image opened by many, of which all get it, and a request that does not wait.
func TestManyAskAtOnce(t *testing.T) {
	w := newWorld(t)
	w.furnished()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if img, err := w.Image(t.Context(), "next"); err != nil || len(img.Layers) != 2 {
				t.Errorf("%+v, %v", img, err)
			}
			if _, err := w.Tree(t.Context(), "base", layers.Query{Layer: -1, Merged: true, Recursive: true, Limit: 100}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.Forget()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Image(gone, "next"); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left gets %v", err)
	}
}
