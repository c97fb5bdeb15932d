package files_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

func (c container) write(name, content string) error {
	return c.Write(name, strings.NewReader(content))
}

func TestWriteNew(t *testing.T) {
	c := newContainer(t)
	longest := strings.Repeat("ü", 127) + "x" // NAME_MAX, 255 bytes
	for _, name := range []string{"file", "a b\n\"", longest} {
		if err := c.write("/"+name, "content"); err != nil {
			t.Fatal(err)
		}
		c.wantHost(t, name, "content")
	}
	info, err := os.Stat(filepath.Join(c.dir, "file"))
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("a new file is %v, %v", info.Mode(), err)
	}
	wantIs(t, c.write("/"+longest+"x", ""), unix.ENAMETOOLONG)
}

func TestWriteKeepsModeAndOwner(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "old and longer", 0)
	p := filepath.Join(c.dir, "file")
	mode := fs.ModeSetuid | fs.ModeSetgid | 0o751
	if err := errors.Join(os.Chown(p, 1234, 5678), os.Chmod(p, mode)); err != nil {
		t.Fatal(err)
	}
	if err := c.write("/file", "new"); err != nil {
		t.Fatal(err)
	}
	c.wantHost(t, "file", "new")
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode() != mode || st.Uid != 1234 || st.Gid != 5678 {
		t.Errorf("the file is %v of %d:%d", info.Mode(), st.Uid, st.Gid)
	}
}

func TestWriteThroughLinks(t *testing.T) {
	c := newContainer(t)
	c.put(t, "a/b/file", "old", 0o600)
	c.put(t, "x/other", "old", 0o600)
	c.symlink(t, "/a/b/file", "absolute")
	c.symlink(t, "absolute", "twice")
	c.symlink(t, "/a/b", "x/dir")
	c.symlink(t, "../new", "a/b/up")              // through x/dir it is /a/new, not /x/new
	c.symlink(t, c.outside+"/canary", "x/host")   // there is no such directory inside
	c.symlink(t, "../../../../../made", "x/made") // its .. stop at the container's root
	c.symlink(t, "loop", "loop")
	c.symlink(t, "/proc/self/root/escaped", "magic")
	for name, lands := range map[string]string{
		"/absolute": "a/b/file", "/twice": "a/b/file", "/x/dir/file": "a/b/file", "/x/dir/up": "a/new", "/x/made": "made",
	} {
		if err := c.write(name, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.wantHost(t, lands, name)
	}
	if target, err := os.Readlink(filepath.Join(c.dir, "twice")); err != nil || target != "absolute" {
		t.Errorf("the link leads to %q, %v: it was replaced", target, err)
	}
	for name, want := range map[string]error{
		"/x/host": fs.ErrNotExist, "/loop": unix.ELOOP, "/magic": unix.ELOOP, "/proc/self/root/escaped": unix.ELOOP,
	} {
		wantIs(t, c.write(name, "escaped"), want)
	}
}

func TestWriteRefuses(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/file", "old", 0o600)
	c.symlink(t, "d/", "link")
	c.fifo(t, "pipe")
	before := snapshot(t, c.dir)
	for name, want := range map[string]error{
		"/none/file": fs.ErrNotExist, "/d": files.ErrNotRegular, "/link": files.ErrNotRegular, "/pipe": files.ErrNotRegular,
		"/": files.ErrNotRegular, "/d/..": files.ErrNotRegular, "/d/file/x": unix.ENOTDIR, "/pipe/x": unix.ENOTDIR,
	} {
		wantIs(t, c.write(name, "content"), want)
	}
	if after := snapshot(t, c.dir); after != before {
		t.Errorf("the tree was\n%sand is\n%s", before, after)
	}
}

func TestWriteThatFailsLeavesTheOld(t *testing.T) {
	c := newContainer(t)
	if err := c.write("/small/file", "old"); err != nil {
		t.Fatal(err)
	}
	for want, r := range map[error]io.Reader{
		unix.ENOSPC:         bytes.NewReader(make([]byte, 2*smallDisk)),
		io.ErrUnexpectedEOF: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)),
	} {
		wantIs(t, c.Write("/small/file", r), want)
		if got, err := c.read("/small/file"); err != nil || got != "old" {
			t.Errorf("after %v the file holds %q, %v", want, got, err)
		}
		if entries, err := c.List("/small"); err != nil || len(entries) != 1 {
			t.Errorf("after %v the disk holds %+v, %v", want, entries, err)
		}
	}
}

// TestConcurrentWrites: one of them wins whole. The name was once taken from the kernel, which calls a file that has just
// been replaced "file (deleted)".
func TestConcurrentWrites(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/file", "old", 0o600)
	var writers sync.WaitGroup
	for _, letter := range []string{"a", "b", "c", "d"} {
		writers.Go(func() {
			for range 200 {
				if err := c.write("/d/file", strings.Repeat(letter, 1000)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	got, err := c.read("/d/file")
	if err != nil || len(got) != 1000 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if entries, err := c.List("/d"); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %+v, %v", entries, err)
	}
}

func TestMkdir(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "", 0o600)
	c.symlink(t, "/d", "link")
	for _, name := range []string{"/d/e/f", "/d/e", "/", "/link/g"} {
		if err := c.Mkdir(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"d/e/f", "d/g"} {
		if info, err := os.Stat(filepath.Join(c.dir, name)); err != nil || info.Mode() != fs.ModeDir|0o755 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	wantIs(t, c.Mkdir("/file"), unix.ENOTDIR)
	wantIs(t, c.Mkdir("/file/d"), unix.ENOTDIR)
	wantIs(t, c.Mkdir("/proc/self/root/escaped"), unix.ELOOP)
}

func TestRemove(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "", 0o600)
	c.put(t, "d/e/file", "", 0)
	c.put(t, "kept/file", "kept", 0o600)
	c.symlink(t, "/kept", "link")
	c.symlink(t, "../kept/file", "d/link")
	c.symlink(t, c.outside, "d/host")
	c.symlink(t, "/kept", "d/kept")
	// What is mounted goes too: for a process of another mount namespace no mount point is busy (rmdir(2) since kernel 3.18).
	for _, name := range []string{"/file", "/link", "/d", "/small"} {
		if err := c.Remove(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(c.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	c.wantHost(t, "kept/file", "kept")
	for name, want := range map[string]error{
		"/": files.ErrIsRoot, "/kept/..": files.ErrIsRoot, "": files.ErrIsRoot, "/none": fs.ErrNotExist,
		"/none/file": fs.ErrNotExist, "/kept/file/x": unix.ENOTDIR, "/proc/self/root/kept": unix.ELOOP,
	} {
		wantIs(t, c.Remove(name), want)
	}
}
