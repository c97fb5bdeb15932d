package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/moby/api/types/jsonstream"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image"
)

// entry is one of a tar.
type entry struct {
	name, text, link string
	kind             byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Mode: 0o644, Size: int64(len(e.text))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		must(t, w.WriteHeader(h))
		_, err := io.WriteString(w, e.text)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// imported makes an image of these files.
func imported(t testing.TB, s *image.Store, name string, entries ...entry) image.Image {
	t.Helper()
	img, err := s.Import(t.Context(), bytes.NewReader(tarOf(t, entries...)), image.ImportOptions{Repo: name, Changes: []string{"CMD sh"}})
	must(t, err)
	return img
}

func TestImport(t *testing.T) {
	s := open(t, newHost(t))
	plain := tarOf(t, entry{name: "a/b", text: "x"}, entry{name: "l", link: "a/b", kind: tar.TypeSymlink})
	z, err := zstd.NewWriter(nil)
	must(t, err)
	for name, b := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": z.EncodeAll(plain, nil)} {
		img, err := s.Import(t.Context(), bytes.NewReader(b), image.ImportOptions{Repo: name, Message: "m", Changes: []string{"WORKDIR /a"}})
		if err != nil || img.Config.Comment != "m" || img.Config.Config.WorkingDir != "/a" {
			t.Fatalf("%s: %+v, %v", name, img, err)
		}
		if got := tree(t, mounted(t, s, name, img.ID)); len(got) != 2 || got["a/b"] != "x" || got["l"] != "-> a/b" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is saved and loaded again is the same image, with the same files; two sandboxes exchange images so.
func TestSaveAndLoad(t *testing.T) {
	h := newHost(t)
	s, other := open(t, h), open(t, newHost(t))
	base := imported(t, s, "base", entry{name: "etc/x", text: "x"}, entry{name: "gone", text: "y"})
	dir := mounted(t, s, "c", base.ID)
	writeFile(t, filepath.Join(dir, "new"), "new")
	must(t, os.Remove(filepath.Join(dir, "gone")))
	app, err := s.Commit(t.Context(), "c", image.CommitOptions{Repo: "reg.example:5000/team/app", Tag: "v1"})
	must(t, err)
	must(t, s.Tag(t.Context(), app.ID, "app", ""))
	var saved bytes.Buffer
	must(t, s.Save(t.Context(), []string{"base", "app", "reg.example:5000/team/app:v1"}, &saved))
	archives := map[string][]byte{"plain": saved.Bytes(), "gzip": gzipped(t, saved.Bytes())}
	archives["layout"] = without(t, saved.Bytes(), "manifest.json")
	for name, b := range archives {
		said := ""
		_, err := other.Load(t.Context(), bytes.NewReader(b), func(m jsonstream.Message) { said += m.Stream })
		must(t, err)
		got, err := other.Get(t.Context(), "app")
		if err != nil || got.ID != app.ID || len(got.Names) != 2 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		for _, want := range []string{"base:latest", "app:latest", "reg.example:5000/team/app:v1"} {
			if !strings.Contains(said, "Loaded image: "+want+"\n") {
				t.Errorf("%s: it said %q, not %s", name, said, want)
			}
		}
		if files := tree(t, mounted(t, other, name, got.ID)); !maps.Equal(files, tree(t, dir)) {
			t.Errorf("%s: %v", name, files)
		}
		must(t, other.RemoveRoot(t.Context(), name))
		for _, n := range []string{"base", "app", "reg.example:5000/team/app:v1"} {
			_, err := other.Remove(t.Context(), n, image.RemoveOptions{})
			must(t, err)
		}
	}
	if used, err := other.DiskUsage(t.Context()); err != nil || used != 0 {
		t.Errorf("%d bytes are left, %v", used, err)
	}
}

// without is an archive without one of its files.
func without(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	var entries []entry
	tr := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return tarOf(t, entries...)
		}
		must(t, err)
		b, err := io.ReadAll(tr)
		must(t, err)
		if h.Name != name {
			entries = append(entries, entry{name: h.Name, text: string(b)})
		}
	}
}

// Nothing is left of what is refused.
func TestLoadRefuses(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	img := imported(t, s, "victim", entry{name: "a", text: "x"})
	var saved bytes.Buffer
	must(t, s.Save(t.Context(), []string{"victim"}, &saved))
	_, err := s.Remove(t.Context(), img.ID, image.RemoveOptions{})
	must(t, err)
	cases := map[string][]byte{
		"nothing":   nil,
		"garbage":   bytes.Repeat([]byte("garbage"), 1000),
		"no image":  tarOf(t, entry{name: "a", text: "x"}),
		"cut short": saved.Bytes()[:1500],
		"no config": tarOf(t, entry{name: "manifest.json", text: `[{"Config":"../../etc/passwd","Layers":[]}]`}),
		"few layers": tarOf(t, entry{name: "manifest.json", text: `[{"Config":"c","Layers":["a","b"]}]`},
			entry{name: "c", text: `{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`}),
		"bad digest": tarOf(t, entry{name: "manifest.json", text: `[{"Config":"c","Layers":["a"]}]`}, entry{name: "a", text: "x"},
			entry{name: "c", text: `{"os":"linux","rootfs":{"type":"layers","diff_ids":["../../x"]}}`}),
		"lying diff": tarOf(t, entry{name: "manifest.json", text: `[{"Config":"c","RepoTags":["liar:latest"],"Layers":["a"]}]`},
			entry{name: "a", text: string(tarOf(t, entry{name: "f", text: "x"}))},
			entry{name: "c", text: `{"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("a", 64) + `"]}}`}),
	}
	for name, b := range cases {
		if _, err := s.Load(t.Context(), bytes.NewReader(b), nil); err == nil {
			t.Errorf("%s: no error", name)
		} else if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	_, _, err = s.Prune(t.Context(), image.PruneOptions{})
	must(t, err)
	if used, err := s.DiskUsage(t.Context()); err != nil || used != 0 {
		t.Errorf("%d bytes are left, %v", used, err)
	}
}

// Layers cannot reach out of their directory, nor speak to overlay.
func TestHostileLayers(t *testing.T) {
	s := open(t, newHost(t))
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "canary"), "alive")
	hostile := []entry{
		{name: "../../../../../../../../" + outside + "/canary", text: "dead"},
		{name: outside + "/canary", text: "dead"},
		{name: "link", link: outside, kind: tar.TypeSymlink},
		{name: "link/canary", text: "dead"},
		{name: "hard", link: outside + "/canary", kind: tar.TypeLink},
		{name: "up", link: "../../../../../../../../" + outside, kind: tar.TypeSymlink},
		{name: "up/canary", text: "dead"},
		{name: "up/.wh.canary"},
		{name: ".wh..", text: ""},
		{name: "..", kind: tar.TypeDir},
	}
	for i, e := range hostile {
		before := []entry{}
		if i == 3 || i == 6 || i == 7 {
			before = append(before, hostile[map[int]int{3: 2, 6: 5, 7: 5}[i]])
		}
		_, _ = s.Import(t.Context(), bytes.NewReader(tarOf(t, append(before, e)...)), image.ImportOptions{}) // either is fine
		if b, err := os.ReadFile(filepath.Join(outside, "canary")); err != nil || string(b) != "alive" {
			t.Fatalf("%+v reached out: %q, %v", e, b, err)
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755, PAXRecords: map[string]string{
		"SCHILY.xattr.user.overlay.redirect": "/etc", "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.mine": "kept",
	}}))
	must(t, w.Close())
	img, err := s.Import(t.Context(), &b, image.ImportOptions{})
	must(t, err)
	must(t, s.NewRoot(t.Context(), "x", img.ID))
	_, lowers, err := s.RootDirs(t.Context(), "x")
	must(t, err)
	dir := filepath.Join(lowers[len(lowers)-1], "d")
	buf := make([]byte, 256)
	n, err := unix.Llistxattr(dir, buf)
	if err != nil || string(buf[:n]) != "user.mine\x00" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// On a disk that the visitor has filled to the last byte, images and containers can still be removed.
func TestRemoveOnFullDisk(t *testing.T) {
	h := newHost(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	s := open(t, h, func(o *image.Options) { o.Dir = filepath.Join(disk, "docker") })
	img := imported(t, s, "victim", entry{name: "a", text: strings.Repeat("some text ", 1<<10)})
	must(t, s.NewRoot(t.Context(), "c", img.ID))
	f, err := os.Create(filepath.Join(disk, "all"))
	must(t, err)
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	must(t, s.RemoveRoot(t.Context(), "c"))
	_, err = s.Remove(t.Context(), "victim", image.RemoveOptions{})
	must(t, err)
	if used, err := s.DiskUsage(t.Context()); err != nil || used != 0 {
		t.Errorf("%d bytes are left, %v", used, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A full disk is told, and nothing half-made stays.
func TestFullDisk(t *testing.T) {
	h := newHost(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=6m"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	s := open(t, h, func(o *image.Options) { o.Dir = filepath.Join(disk, "docker") })
	small := imported(t, s, "small", entry{name: "a", text: "x"})
	bytesOf := make([]byte, 8<<20)
	for i := range bytesOf {
		bytesOf[i] = byte(i * i >> 3)
	}
	_, err := s.Import(t.Context(), bytes.NewReader(tarOf(t, entry{name: "big", text: string(bytesOf)})), image.ImportOptions{Repo: "big"})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatal(err)
	}
	_, _, err = s.Prune(t.Context(), image.PruneOptions{})
	must(t, err)
	if _, err := s.Get(t.Context(), "big"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(disk, &st))
	if free := int64(st.Bfree) * st.Bsize; free < 3<<20 {
		t.Errorf("only %d bytes are free again", free)
	}
	must(t, s.NewRoot(t.Context(), "c", small.ID))
}
