package unpack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"testing"

	"berth/runtime/imagecache/unpack"
)

// FuzzEntries unpacks two entries made of the input, the second of which may use what the first has made, and a third that
// writes through both. Whatever they are, the tree outside stays as it was. It runs without the child's walls: the
// resolution of names must hold by itself.
func FuzzEntries(f *testing.F) {
	for _, s := range []struct {
		type1       byte
		name1, link string
		type2       byte
		name2, to   string
	}{
		{tar.TypeSymlink, "a", "../outside", tar.TypeReg, "a/secret", ""},
		{tar.TypeSymlink, "a", "/", tar.TypeLink, "b", "a/etc/passwd"},
		{tar.TypeDir, "a/b", "", tar.TypeReg, "a/.wh.b", ""},
		{tar.TypeReg, "a", "", tar.TypeDir, "a/../../outside", ""},
		{tar.TypeReg, ".wh.a", "", tar.TypeDir, "a", ""},
		{tar.TypeFifo, "a", "", tar.TypeLink, "a", "a"},
		{tar.TypeSymlink, ".", "x", tar.TypeChar, "./a//b/", ""},
		{tar.TypeSymlink, "a", ".", tar.TypeReg, "a/a/a", ""},
	} {
		f.Add(s.type1, s.name1, s.link, s.type2, s.name2, s.to)
	}
	f.Fuzz(func(t *testing.T, type1 byte, name1, link string, type2 byte, name2, to string) {
		needRoot(t)
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range []tar.Header{
			{Typeflag: type1, Name: name1, Linkname: link, Mode: 0o777},
			{Typeflag: type2, Name: name2, Linkname: to, Mode: 0o777},
			{Typeflag: tar.TypeReg, Name: name1 + "/secret", Mode: 0o600},
		} {
			if err := w.WriteHeader(&h); err != nil {
				return // no tar could say so
			}
		}
		if err := w.Close(); err != nil {
			return
		}
		layer, _ := canary(t)
		err := unpack.UnpackTar(layer, &b, unpack.Budgets{})
		var entry *unpack.EntryError
		var budget *unpack.BudgetError
		// ErrHeader: the writer takes types whose headers the reader refuses.
		if err != nil && !errors.As(err, &entry) && !errors.As(err, &budget) && !errors.Is(err, tar.ErrHeader) {
			t.Fatalf("an error that names no entry: %v", err)
		}
	})
}

// FuzzStream gives the children any bytes at all.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0})
	f.Add([]byte("ustar"))
	f.Fuzz(func(t *testing.T, b []byte) {
		needRoot(t)
		layer, _ := canary(t)
		r, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{})
		if err == nil && r.DiffID == "" {
			t.Fatal("no digest")
		}
	})
}
