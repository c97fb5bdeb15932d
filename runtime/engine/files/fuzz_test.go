package files_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

// FuzzArchiveEntries unpacks two entries made of the input, the second of which may use what the first has made, and a third
// that writes through both.
func FuzzArchiveEntries(f *testing.F) {
	for _, s := range []struct {
		type1       byte
		name1, link string
		type2       byte
		name2, to   string
	}{
		{tar.TypeSymlink, "a", "../canary", tar.TypeReg, "a", ""},
		{tar.TypeSymlink, "a", "..", tar.TypeReg, "a/canary", ""},
		{tar.TypeSymlink, "a", "/", tar.TypeLink, "b", "a/small/canary"},
		{tar.TypeSymlink, "a", "/proc/self/root", tar.TypeSymlink, "a/small/canary", "x"},
		{tar.TypeDir, "a/b", "", tar.TypeDir, "a/../../canary", ""},
		{tar.TypeReg, "a", "", tar.TypeDir, "a/b", ""},
		{tar.TypeFifo, "a", "", tar.TypeLink, "a", "a"},
		{tar.TypeSymlink, ".", "x", tar.TypeChar, "./a//b/", ""},
		{tar.TypeSymlink, "a", ".", tar.TypeReg, "a/a/a", ""},
		{tar.TypeSymlink, "a", "", tar.TypeReg, strings.Repeat("n", 300), ""},
		{tar.TypeLink, "a", "", tar.TypeLink, "", "."},
		{tar.TypeXGlobalHeader, "../canary", "", tar.TypeReg, "/", ""},
	} {
		f.Add(s.type1, s.name1, s.link, s.type2, s.name2, s.to)
	}
	d := newDestination(f)
	f.Fuzz(func(t *testing.T, type1 byte, name1, link string, type2 byte, name2, to string) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range []tar.Header{
			{Typeflag: type1, Name: name1, Linkname: link, Mode: 0o777},
			{Typeflag: type2, Name: name2, Linkname: to, Mode: 0o7777, Uid: 7, Gid: 1 << 31},
			{Typeflag: tar.TypeReg, Name: name1 + "/canary", Mode: 0o600},
		} {
			if err := w.WriteHeader(&h); err != nil {
				return // no tar could say so
			}
		}
		if err := w.Close(); err != nil {
			return
		}
		d.unpack(t, b.Bytes())
	})
}

// FuzzArchiveStream unpacks any bytes at all.
func FuzzArchiveStream(f *testing.F) {
	for _, h := range []tar.Header{
		file("file"), symlink("l", ".."), hardlink("h", "file"),
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "old", ModTime: time.Unix(-1<<40, 1), PAXRecords: map[string]string{"VENDOR.x": "y"}},
	} {
		f.Add(archive(f, h).Bytes())
	}
	f.Add([]byte(nil))
	f.Add([]byte("ustar"))
	d := newDestination(f)
	f.Fuzz(func(t *testing.T, b []byte) { d.unpack(t, b) })
}

// destination is a directory of a container, on a small disk: an archive may be a bomb. Beside it is a canary, as there is
// outside.
type destination struct{ container }

func newDestination(f *testing.F) destination {
	f.Helper()
	d := destination{newContainer(f)}
	d.put(f, "canary", secret, 0o640)
	if err := d.write("/small/canary", secret); err != nil {
		f.Fatal(err)
	}
	return d
}

// unpack unpacks into the directory: nothing beside it changes, and an error is either the archive's or the kernel's, so that
// there is an answer for it. What was unpacked can be packed.
func (d destination) unpack(t *testing.T, b []byte) {
	t.Helper()
	const into = "/small/into"
	if err := d.Mkdir(into); err != nil {
		t.Fatal(err)
	}
	before, beside := snapshot(t, d.dir)+snapshot(t, d.outside), d.small(t)
	err := d.ReadTar(into, bytes.NewReader(b))
	var kernel unix.Errno
	switch {
	case err == nil:
		if err := d.WriteTar(into, io.Discard); err != nil {
			t.Errorf("it cannot be packed: %v", err)
		}
	case errors.Is(err, files.ErrArchive):
	case !errors.As(err, &kernel) || kernel == unix.EIO || kernel == unix.EBADF:
		t.Errorf("an error that nobody caused: %v", err)
	}
	if err := d.Remove(into); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if after, now := snapshot(t, d.dir)+snapshot(t, d.outside), d.small(t); after != before || now != beside {
		t.Errorf("beside it was\n%s%s\nand is\n%s%s", before, beside, after, now)
	}
}

// small describes what is on the small disk beside the directory.
func (d destination) small(t *testing.T) string {
	t.Helper()
	entries, err := d.List("/small")
	if err != nil {
		t.Fatal(err)
	}
	content, err := d.read("/small/canary")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		if e.Name != "into" {
			b.WriteString(strings.Join([]string{e.Name, e.Type, e.Mode, e.Target, e.ModTime.String(), content, "\n"}, " "))
		}
	}
	return b.String()
}
