package unpack_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"berth/runtime/imagecache/unpack"
)

func TestMetadata(t *testing.T) {
	needRoot(t)
	layer, _ := canary(t)
	old := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	long := strings.Repeat("long/", 40) + strings.Repeat("n", 200)
	b := archive(t,
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, ModTime: old, Format: tar.FormatPAX}},
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d", Mode: 0o1777, Uid: 7, Gid: 8, ModTime: old, Format: tar.FormatPAX}},
		entry{Header: tar.Header{
			Name: "d/f", Mode: 0o6751, Uid: 1000, Gid: 1001, ModTime: old, Format: tar.FormatPAX,
			PAXRecords: map[string]string{
				"SCHILY.xattr.user.note": "hi", "SCHILY.xattr.user.overlay.opaque": "y",
				"SCHILY.xattr.trusted.x": "y",
			},
		}, body: "body"},
		hard("d/same", "d/f"),
		entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/nowhere", Uid: 5, ModTime: old, Format: tar.FormatPAX}},
		entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o622}},
		entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}},
		entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "disk", Devmajor: 8}},
		entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "like-a-whiteout"}},
		entry{Header: tar.Header{Name: "foreign", Uid: 1516583083, Gid: 99, Format: tar.FormatPAX}},
		file(long, "deep"), file("ünï\ncödé", "x"),
		entry{Header: tar.Header{Name: "holes"}, body: strings.Repeat("\x00", 4<<20) + "end" + strings.Repeat("\x00", 1<<20)},
	)
	r, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stat := func(name string) (os.FileInfo, *syscall.Stat_t) {
		t.Helper()
		info, err := os.Lstat(filepath.Join(layer, name))
		if err != nil {
			t.Fatal(err)
		}
		return info, info.Sys().(*syscall.Stat_t)
	}
	for name, want := range map[string]struct{ mode, uid, gid uint32 }{
		".": {unix.S_IFDIR | 0o711, 0, 0}, "d": {unix.S_IFDIR | 0o1777, 7, 8}, "d/f": {unix.S_IFREG | 0o6751, 1000, 1001},
		"l": {unix.S_IFLNK | 0o777, 5, 0}, "p": {unix.S_IFIFO | 0o622, 0, 0}, "foreign": {unix.S_IFREG | 0o755, 65534, 99},
	} {
		if _, st := stat(name); st.Mode != want.mode || st.Uid != want.uid || st.Gid != want.gid {
			t.Errorf("%s is %o %d:%d", name, st.Mode, st.Uid, st.Gid)
		}
	}
	for _, name := range []string{".", "d", "d/f", "l"} {
		if info, _ := stat(name); !info.ModTime().Equal(old) {
			t.Errorf("time of %s is %v", name, info.ModTime())
		}
	}
	_, f := stat("d/f")
	if _, same := stat("d/same"); same.Ino != f.Ino {
		t.Error("the hard link is a file of its own")
	}
	if info, st := stat("holes"); info.Size() != 5<<20+3 || st.Blocks*512 > 64<<10 {
		t.Errorf("holes: %d bytes long, %d on disk", info.Size(), st.Blocks*512)
	}
	if got, err := os.ReadFile(filepath.Join(layer, "holes")); err != nil || !bytes.Equal(got[4<<20:4<<20+3], []byte("end")) {
		t.Errorf("holes: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(layer, long)); err != nil || string(got) != "deep" {
		t.Errorf("long name: %q, %v", got, err)
	}
	stat("ünï\ncödé")
	value := make([]byte, 16)
	if n, err := unix.Lgetxattr(filepath.Join(layer, "d/f"), "user.note", value); err != nil || string(value[:n]) != "hi" {
		t.Errorf("user.note: %q, %v", value[:max(n, 0)], err)
	}
	for _, name := range []string{"user.overlay.opaque", "trusted.x"} {
		if _, err := unix.Lgetxattr(filepath.Join(layer, "d/f"), name, value); err == nil {
			t.Errorf("%s was taken from the archive", name)
		}
	}
	for _, name := range []string{"null", "disk", "like-a-whiteout"} {
		if _, err := os.Lstat(filepath.Join(layer, name)); err == nil {
			t.Errorf("device %s was made", name)
		}
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"null", "disk", "foreign", "trusted.x", "user.overlay.opaque"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note about %s: %s", want, notes)
		}
	}
}

// Every compression gives the same diff-id and, where it is one, a digest of its own.
func TestCompressions(t *testing.T) {
	needRoot(t)
	plain := archive(t, file("a", strings.Repeat("abc", 100_000)))
	var zipped, zstded bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(plain)
	_ = z.Close()
	s, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(plain)
	_ = s.Close()
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, zstded.Bytes()...)
	diffID := digest(plain)
	for name, b := range map[string][]byte{"plain": plain, "gzip": zipped.Bytes(), "zstd": zstded.Bytes(), "zstd, skippable": skippable} {
		layer, _ := canary(t)
		r, err := unpack.Layer(t.Context(), layer, stream(b), unpack.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.DiffID != diffID || r.Digest != digest(b) || r.Entries != 1 || r.Bytes != 300_000 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
