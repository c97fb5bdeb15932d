package files_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

// archive makes a tar stream; what a header lacks is filled in.
func archive(t testing.TB, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content = "from " + h.Name
			h.Size = int64(len(content))
		}
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func file(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }

func symlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func hardlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
}

func TestTarRoundTrip(t *testing.T) {
	c := newContainer(t)
	long := strings.Repeat("n", 200) + "/" + strings.Repeat("ü", 100)
	c.put(t, "from/file", "content", 0o640)
	c.put(t, "from/empty file", "", 0)
	c.put(t, "from/"+long, "long", 0o600)
	c.put(t, "from/big", strings.Repeat("0123456789", 100_000), 0o600)
	c.put(t, "from/setuid", "", 0o755)
	c.put(t, "from/not\xffUTF-8/\xfe", "bytes", 0o600)
	c.symlink(t, "/etc/passwd", "from/absolute")
	c.symlink(t, "../../../"+strings.Repeat("t", 150), "from/dangling")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(c.dir, "from/a/empty"), 0o700),
		os.Chmod(filepath.Join(c.dir, "from/a"), 0o777|fs.ModeSticky),
		os.Chown(filepath.Join(c.dir, "from/file"), 1234, 1<<21+1), // more than ustar's octal digits
		os.Lchown(filepath.Join(c.dir, "from/absolute"), 7, 8),
		os.Chown(filepath.Join(c.dir, "from/setuid"), 9, 10),
		os.Chmod(filepath.Join(c.dir, "from/setuid"), 0o755|fs.ModeSetuid|fs.ModeSetgid),
	); err != nil {
		t.Fatal(err)
	}
	c.copyTree(t, "/from", "/to")
	if from, to := snapshot(t, filepath.Join(c.dir, "from")), snapshot(t, filepath.Join(c.dir, "to")); from != to {
		t.Errorf("of\n%.3000s\nthis was made:\n%.3000s", from, to)
	}
	before, after := c.modTime(t, "from/file"), c.modTime(t, "to/file")
	if before != after {
		t.Errorf("the file of %s is of %s", before, after)
	}
}

func (c container) modTime(t *testing.T, name string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime().UTC().String()
}

// copyTree sends a tree through an archive into a new directory.
func (c container) copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := c.Mkdir(to); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := c.WriteTar(from, w)
		written <- errors.Join(err, w.CloseWithError(err))
	}()
	err := c.ReadTar(to, r)
	if err = errors.Join(err, r.Close(), <-written); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, r io.Reader) []string {
	t.Helper()
	var all []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h.Name)
	}
}

func TestWriteTarNames(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/e/file", "content", 0o600)
	c.symlink(t, "/d", "link")
	c.fifo(t, "d/pipe") // not opened: that would keep the caller for ever
	for name, want := range map[string][]string{
		"/d": {"e/", "e/file", "pipe"}, "/d/e/file": {"file"}, "/link": {"e/", "e/file", "pipe"}, "/small": nil,
	} {
		var b bytes.Buffer
		if err := c.WriteTar(name, &b); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := names(t, &b); !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	wantIs(t, c.WriteTar("/none", io.Discard), fs.ErrNotExist)
	wantIs(t, c.WriteTar("/d/pipe", io.Discard), files.ErrNotRegular)
	wantIs(t, c.WriteTar("/d", failing{}), unix.EPIPE)
}

// TestWriteTarOfAll: in proc are files that not even root may open.
func TestWriteTarOfAll(t *testing.T) {
	c := newContainer(t)
	c.put(t, "z/file", "content", 0o600)
	if err := c.write("/small/file", "on a mount"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.WriteTar("/", &b); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, &b), []string{"proc/", "small/", "small/file", "z/", "z/file"}; !slices.Equal(got, want) {
		t.Errorf("it holds %.2000q, want %q", got, want)
	}
	b.Reset()
	if err := c.WriteTar("/proc/sys/fs", &b); err != nil { // asked for, it is given
		t.Error(err)
	} else if got := names(t, &b); !slices.Contains(got, "inotify/max_user_watches") {
		t.Errorf("it holds %q", got)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, unix.EPIPE }

func TestReadTarReplaces(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/file", "old", 0o600)
	c.put(t, "d/dir/inner", "kept", 0o600)
	c.put(t, "kept", "kept", 0o600)
	c.symlink(t, "../kept", "d/link")
	stream := archive(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of git archive"}},
		file("file"), file("./link"), file("new/below/file"), file("/absolute"),
		tar.Header{Typeflag: tar.TypeDir, Name: "dir/", Mode: 0o700}, hardlink("hard", "file"), hardlink("/hard2", "./new//below/file"),
		hardlink("file", "file"), symlink("dir/inner", "/anywhere"),
	)
	if err := c.ReadTar("/d", stream); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"d/file": "from file", "d/link": "from ./link", "d/new/below/file": "from new/below/file", "d/absolute": "from /absolute",
		"d/hard": "from file", "d/hard2": "from new/below/file", "kept": "kept",
	} {
		c.wantHost(t, name, content)
	}
	if target, err := os.Readlink(filepath.Join(c.dir, "d/dir/inner")); target != "/anywhere" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	entries, err := c.List("/d")
	if err != nil || slices.ContainsFunc(entries, func(e files.Entry) bool { return strings.Contains(e.Name, "lobal") }) {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestReadTarKeepsWhatIsInTheWay(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/dir/inner", "kept", 0o600)
	c.put(t, "d/file", "kept", 0o600)
	before := snapshot(t, c.dir)
	wantIs(t, c.ReadTar("/d", archive(t, file("dir"))), fs.ErrExist)
	wantIs(t, c.ReadTar("/d", archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "dir", Linkname: "x", Uid: 7, Gid: 7})), fs.ErrExist)
	wantIs(t, c.ReadTar("/d", archive(t, tar.Header{Typeflag: tar.TypeDir, Name: "file"})), fs.ErrExist)
	wantIs(t, c.ReadTar("/d", archive(t, file("file/below"))), fs.ErrExist)
	wantIs(t, c.ReadTar("/d/file", archive(t)), unix.ENOTDIR)
	wantIs(t, c.ReadTar("/none", archive(t)), fs.ErrNotExist)
	if after := snapshot(t, c.dir); after != before {
		t.Errorf("the tree was\n%sand is\n%s", before, after)
	}
}

func TestReadTarOnAFullDisk(t *testing.T) {
	c := newContainer(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	big := make([]byte, 2*smallDisk)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Mode: 0o600, Size: int64(len(big))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(big); err != nil {
		t.Fatal(err)
	}
	err := c.ReadTar("/small", &b)
	if wantIs(t, err, unix.ENOSPC); errors.Is(err, files.ErrArchive) {
		t.Errorf("%v: it is not the archive's fault", err)
	}
	if entries, err := c.List("/small"); err != nil || len(entries) != 0 {
		t.Errorf("the disk holds %+v, %v", entries, err)
	}
}
