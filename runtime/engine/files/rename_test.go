package files_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

func TestRename(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "content", 0o640)
	c.put(t, "d/e/inner", "inner", 0o600)
	c.put(t, "there", "kept", 0o600)
	c.symlink(t, "/there", "link")
	c.symlink(t, "/d", "dir")
	odd := "a\nb\x1b[31m\xff"
	for _, move := range [][2]string{{"/file", "/d/" + odd}, {"/d/e", "/moved"}, {"/link", "/renamed"}, {"/moved/inner", "/dir/inner"}} {
		if err := c.Rename(move[0], move[1]); err != nil {
			t.Errorf("%q: %v", move, err)
		}
	}
	c.wantHost(t, "d/"+odd, "content")
	c.wantHost(t, "d/inner", "inner")
	if target, err := os.Readlink(filepath.Join(c.dir, "renamed")); err != nil || target != "/there" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	before := snapshot(t, c.dir)
	for move, want := range map[[2]string]error{
		{"/there", "/d"}: fs.ErrExist, {"/there", "/d/inner"}: fs.ErrExist, {"/none", "/x"}: fs.ErrNotExist, {"/there", "/none/x"}: fs.ErrNotExist,
		{"/", "/x"}: files.ErrIsRoot, {"/there", "/"}: files.ErrIsRoot, {"/d", "/d/x"}: files.ErrIntoItself, {"/there", "/there/x"}: unix.ENOTDIR,
		{"/there", "/small/x"}: files.ErrOtherVolume, {"/there", "/proc/self/root/x"}: unix.ELOOP, {"/there", "/" + strings.Repeat("n", 256)}: unix.ENAMETOOLONG,
		{"/there", "/a\x00b"}: unix.EINVAL,
	} {
		wantIs(t, c.Rename(move[0], move[1]), want)
	}
	if after := snapshot(t, c.dir); after != before {
		t.Errorf("the tree was\n%sand is\n%s", before, after)
	}
}

func TestWriteIf(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "old", 0o640)
	version := func(name string) string {
		f, info, err := c.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return files.Version(info)
	}
	write := func(name, content string, cond files.Condition) (string, error) {
		info, err := c.WriteIf(name, strings.NewReader(content), cond)
		if err != nil {
			return "", err
		}
		return files.Version(info), nil
	}
	first := version("/file")
	second, err := write("/file", "new", files.Condition{Versions: []string{"x", first}})
	if err != nil || second == first || second != version("/file") {
		t.Fatalf("%q then %q, now %q: %v", first, second, version("/file"), err)
	}
	_, err = write("/file", "late", files.Condition{Versions: []string{first}})
	wantIs(t, err, files.ErrChanged)
	_, err = write("/none", "", files.Condition{Versions: []string{first}})
	wantIs(t, err, files.ErrChanged)
	_, err = write("/none", "", files.Condition{Exists: true})
	wantIs(t, err, files.ErrChanged)
	_, err = write("/file", "late", files.Condition{New: true})
	wantIs(t, err, fs.ErrExist)
	c.wantHost(t, "file", "new")
	if _, err := write("/made", "made", files.Condition{New: true}); err != nil {
		t.Error(err)
	}
	c.wantHost(t, "made", "made")
}

// TestWriteIfSeesWhatHappensMeanwhile: a file that changes while the new content arrives is not replaced.
func TestWriteIfSeesWhatHappensMeanwhile(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "old", 0o640)
	f, info, err := c.Open("/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = c.WriteIf("/file", meanwhile(func() { c.put(t, "file", "the shell's own", 0o640) }), files.Condition{Versions: []string{files.Version(info)}})
	wantIs(t, err, files.ErrChanged)
	_, err = c.WriteIf("/fresh", meanwhile(func() { c.put(t, "fresh", "the shell's own", 0o640) }), files.Condition{New: true})
	wantIs(t, err, fs.ErrExist)
	c.wantHost(t, "file", "the shell's own")
	c.wantHost(t, "fresh", "the shell's own")
	if entries, err := c.List("/"); err != nil || len(entries) != 4 { // with small and proc
		t.Errorf("something is left over: %v, %v", entries, err)
	}
}

// meanwhile does something when it is read.
type meanwhile func()

func (m meanwhile) Read(b []byte) (int, error) {
	m()
	return copy(b, "x"), io.EOF
}

func TestPages(t *testing.T) {
	c := newContainer(t)
	for _, name := range []string{"a", "b", "c\n", "d\xff", "e"} {
		c.put(t, "d/"+name, "", 0o600)
	}
	c.symlink(t, "/d", "d/f")
	c.symlink(t, "nowhere", "d/g")
	var got []string
	for after, more := "", true; more; {
		page, err := c.Page("/d", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			got, after = append(got, e.Name+"|"+e.Encoded+"|"+e.TargetType), e.Name
		}
		more = len(page) == 3
	}
	if want := "a||,b||,c\n||,d\xff|d%FF|,e||,f||directory,g||"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ","), want)
	}
}
