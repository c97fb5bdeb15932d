package unpack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"berth/runtime/imagecache/unpack"
)

// canary makes a tree beside the layer's directory and checks, at the end, that it is exactly as it was.
func canary(t *testing.T) (layer, secret string) {
	t.Helper()
	base := t.TempDir()
	layer, outside := filepath.Join(base, "layer"), filepath.Join(base, "outside")
	secret = filepath.Join(outside, "secret")
	for _, d := range []string{layer, outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(secret, []byte("canary"), 0o666); err != nil {
		t.Fatal(err)
	}
	before := listing(t, outside)
	t.Cleanup(func() {
		if after := listing(t, outside); after != before {
			t.Errorf("the tree outside changed:\n%s\nwas\n%s", after, before)
		}
	})
	return layer, secret
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String())
		if d.Type().IsRegular() {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b.Write(body)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func link(name, to string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}}
}

func hard(name, to string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}}
}

func file(name, body string) entry { return entry{Header: tar.Header{Name: name}, body: body} }

func dir(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name}}
}

func TestRefusesWhatLeadsOut(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		entries []entry
		blames  string // the entry that the error must name
	}{
		"dot dot":                    {[]entry{file("../../outside/secret", "x")}, "../../outside/secret"},
		"dot dot inside":             {[]entry{file("a/../../outside/secret", "x")}, "a/../../outside/secret"},
		"dot dot alone":              {[]entry{dir("..")}, ".."},
		"symlink then write through": {[]entry{link("up", "../outside"), file("up/secret", "x")}, "up/secret"},
		"absolute symlink through":   {[]entry{link("up", "OUTSIDE"), file("up/secret", "x")}, "up/secret"},
		"symlink to proc":            {[]entry{link("up", "/proc/self/cwd"), file("up/x", "x")}, "up/x"},
		"chain of symlinks":          {[]entry{dir("a"), link("a/b", "../.."), link("c", "a/b"), file("c/outside/secret", "x")}, "c/outside/secret"},
		"directory through symlink":  {[]entry{link("up", "../outside"), dir("up/new")}, "up/new"},
		"whiteout through symlink":   {[]entry{link("up", "../outside"), file("up/.wh.secret", "")}, "up/.wh.secret"},
		"opaque through symlink":     {[]entry{link("up", "../outside"), file("up/.wh..wh..opq", "")}, "up/.wh..wh..opq"},
		"whiteout of the parent":     {[]entry{file("a/.wh...", "")}, "a/.wh..."},
		"whiteout of itself":         {[]entry{file("a/.wh..", "")}, "a/.wh.."},
		"hard link outside":          {[]entry{hard("x", "../outside/secret")}, "x"},
		"hard link outside absolute": {[]entry{hard("x", "SECRET")}, "x"},
		"hard link through symlink":  {[]entry{link("up", "../outside"), hard("x", "up/secret")}, "x"},
		"hard link to a directory":   {[]entry{dir("d"), hard("x", "d")}, "x"},
		"symlinks in a circle":       {[]entry{link("a", "b"), link("b", "a"), file("a/x", "x")}, "a/x"},
		"root as a file":             {[]entry{file(".", "x")}, "."},
		"root as a symlink":          {[]entry{link(".", "/outside")}, "."},
		"below a file":               {[]entry{file("f", "x"), file("f/x", "x")}, "f/x"},
		"unknown type":               {[]entry{{Header: tar.Header{Typeflag: 'Z', Name: "odd"}}}, "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			layer, secret := canary(t)
			for i := range c.entries {
				to := &c.entries[i].Linkname
				*to = strings.NewReplacer("SECRET", secret, "OUTSIDE", filepath.Dir(secret)).Replace(*to)
			}
			_, err := unpack.Layer(t.Context(), layer, stream(archive(t, c.entries...)), unpack.Options{})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), `"`+c.blames+`"`) {
				t.Errorf("the error does not name %q: %v", c.blames, err)
			}
		})
	}
}

// A symbolic link that is written over is replaced, never followed.
func TestReplacesLinksInsteadOfFollowing(t *testing.T) {
	needRoot(t)
	layer, secret := canary(t)
	b := archive(t, link("x", secret), file("x", "mine"), link("d", filepath.Dir(secret)), dir("d"), file("d/secret", "mine"),
		dir("tree/deep/er"), file("tree/deep/er/f", "1"), file("tree", "now a file"))
	if _, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x": "mine", "d/secret": "mine", "tree": "now a file"} {
		if got, err := os.ReadFile(filepath.Join(layer, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// Absolute names, and links that stay inside, mean what they mean to other engines.
func TestFollowsWhatStaysInside(t *testing.T) {
	needRoot(t)
	layer, _ := canary(t)
	b := archive(t, dir("usr/lib"), link("lib", "usr/lib"), file("lib/a", "a"), file("/etc/b", "b"), hard("/c", "/etc/b"))
	if _, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"usr/lib/a": "a", "etc/b": "b", "c": "b"} {
		if got, err := os.ReadFile(filepath.Join(layer, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// bomb is an archive of one file of zeros, compressed about 1000 to 1.
func bomb(t *testing.T, size int64, compress func(*bytes.Buffer) interface {
	Write([]byte) (int, error)
	Close() error
},
) []byte {
	t.Helper()
	var b bytes.Buffer
	z := compress(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: size, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(block)) {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBombStopsWithinTheBudget(t *testing.T) {
	needRoot(t)
	const size = 512 << 20
	type closer = interface {
		Write([]byte) (int, error)
		Close() error
	}
	for name, compress := range map[string]func(*bytes.Buffer) closer{
		"gzip": func(b *bytes.Buffer) closer { return gzip.NewWriter(b) },
		"zstd": func(b *bytes.Buffer) closer { z, _ := zstd.NewWriter(b); return z },
	} {
		t.Run(name, func(t *testing.T) {
			layer, _ := canary(t)
			_, err := unpack.Layer(t.Context(), layer, stream(bomb(t, size, compress)), unpack.Options{})
			var budget *unpack.BudgetError
			if !errors.As(err, &budget) || budget.Budget != unpack.BudgetRatio {
				t.Fatalf("error is %v", err)
			}
			if !strings.Contains(err.Error(), "--max-ratio") {
				t.Errorf("the error does not say how to raise the budget: %v", err)
			}
			info, err := os.Stat(filepath.Join(layer, "bomb"))
			if err == nil && info.Size() > 2*unpack.DefaultRatioAfter {
				t.Errorf("%d bytes were written before it stopped", info.Size())
			}
		})
	}
}

func TestBudgets(t *testing.T) {
	needRoot(t)
	sparse := entry{Header: tar.Header{Name: "s", Size: 5000}, body: strings.Repeat("x", 5000)}
	for name, c := range map[string]struct {
		budgets unpack.Budgets
		want    unpack.Budget
		entries []entry
	}{
		"bytes":      {unpack.Budgets{Bytes: 4000}, unpack.BudgetBytes, []entry{sparse}},
		"entries":    {unpack.Budgets{Entries: 2}, unpack.BudgetEntries, []entry{dir("a"), dir("b"), dir("c")}},
		"file bytes": {unpack.Budgets{FileBytes: 4000}, unpack.BudgetFileBytes, []entry{sparse}},
		"depth":      {unpack.Budgets{Depth: 3}, unpack.BudgetDepth, []entry{dir("a/b/c/d")}},
		"link depth": {unpack.Budgets{}, unpack.BudgetDepth, []entry{dir(strings.Repeat("a/", 300))}},
	} {
		t.Run(name, func(t *testing.T) {
			layer, _ := canary(t)
			_, err := unpack.Layer(t.Context(), layer, stream(archive(t, c.entries...)), unpack.Options{Budgets: c.budgets})
			var budget *unpack.BudgetError
			if !errors.As(err, &budget) || budget.Budget != c.want {
				t.Fatalf("error is %v", err)
			}
			if !strings.Contains(err.Error(), "--"+string(c.want)) {
				t.Errorf("the error does not say how to raise the budget: %v", err)
			}
		})
	}
}

// A stream that breaks off, or is damaged, never passes for a whole one.
func TestDamagedStreams(t *testing.T) {
	needRoot(t)
	whole := archive(t, file("a", strings.Repeat("abc", 5000)), file("b", "b"))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(whole)
	_ = z.Close()
	flipped := bytes.Clone(packed.Bytes())
	flipped[len(flipped)-6] ^= 0xff // in the checksum
	for name, b := range map[string][]byte{
		"empty":          {},
		"cut tar":        whole[:9000],
		"cut gzip":       packed.Bytes()[:packed.Len()/2],
		"checksum":       flipped,
		"text":           []byte(strings.Repeat("this is no archive at all ", 100)),
		"only gzip's id": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0},
		"only zstd's id": {0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff},
		"bzip2":          []byte("BZh91AY&SY"),
		"xz":             {0xfd, '7', 'z', 'X', 'Z', 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			layer, _ := canary(t)
			if r, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{}); err == nil {
				t.Fatalf("no error: %+v", r)
			} else {
				t.Log(err)
			}
		})
	}
}
