package layers_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/image/layers"
)

func hostile(t testing.TB) layer {
	l := newLayer(t).file("new\nline", "1").file("\x1b[31mred", "2").file("\xff\xfe", "3").file(strings.Repeat("n", 255), "4").
		file("<img src=x onerror=alert(1)>", "5").link("away", "/etc/passwd").link("long", strings.Repeat("t/", 2040)).opaque("o/p").gone("gone")
	must(t, unix.Mkfifo(l.path("pipe"), 0o600))
	must(t, os.Link(l.path("new\nline"), l.path("o/linked")))
	must(t, os.Chmod(l.path("\xff\xfe"), 0o4755|os.ModeSetuid))
	must(t, os.Chown(l.path("o/p"), 1000, 2000))
	return l
}

func encoded(t testing.TB, x *layers.Index) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, x.Encode(&b))
	return b.Bytes()
}

func TestEncodeAndDecode(t *testing.T) {
	x := hostile(t).scan()
	first := encoded(t, x)
	y, err := layers.Decode(bytes.NewReader(first))
	must(t, err)
	q := layers.Query{Recursive: true}
	for _, e := range list(t, layers.NewStack([]*layers.Index{x}), q) {
		if want := map[string]string{"/\xff\xfe": "-rwsr-xr-x", "/pipe": "prw-------", "/away": "lrwxrwxrwx", "/o/p": "drwxr-xr-x"}[e.Path]; want != "" && e.Mode != want {
			t.Errorf("%q has mode %s, want %s", e.Path, e.Mode, want)
		}
	}
	a, b := list(t, layers.NewStack([]*layers.Index{x}), q), list(t, layers.NewStack([]*layers.Index{y}), q)
	if len(a) < 10 || !slices.EqualFunc(a, b, func(a, b layers.Entry) bool {
		a.Below, b.Below = nil, nil
		return a == b
	}) {
		t.Errorf("%+v\n%+v", a, b)
	}
	if !bytes.Equal(encoded(t, y), first) {
		t.Error("it is written differently the second time")
	}
}

// TestDecodeBelievesNothing cuts and changes an index at every place.
func TestDecodeBelievesNothing(t *testing.T) {
	good := encoded(t, hostile(t).scan())
	for i := range good {
		if _, err := layers.Decode(bytes.NewReader(good[:i])); err == nil {
			t.Errorf("cut at %d of %d: taken for whole", i, len(good))
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x55
		if x, err := layers.Decode(bytes.NewReader(bad)); err == nil && !bytes.Equal(encoded(t, x), good) { // flags of the frame mean nothing
			t.Errorf("changed at %d of %d: taken for another", i, len(good))
		}
	}
	if _, err := layers.Decode(bytes.NewReader(append(bytes.Clone(good), good...))); err == nil {
		t.Error("two indexes are taken for one")
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	dir := f.TempDir()
	must(f, errors.Join(os.MkdirAll(dir+"/a/b", 0o755), os.WriteFile(dir+"/a/c", []byte("x"), 0o644), os.Symlink("a", dir+"/l")))
	x, err := layers.Scan(f.Context(), dir)
	must(f, err)
	must(f, x.Encode(&b))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := layers.Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		s := layers.NewStack([]*layers.Index{x, x}) // what was taken can be worked with
		_ = list(t, s, layers.Query{Layer: 1, Merged: true, Recursive: true})
		_ = s.Waste()
	})
}
