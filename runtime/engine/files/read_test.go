package files_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

func TestList(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/file", "12345", 0o640)
	c.symlink(t, "/nowhere/at all", "d/link")
	c.fifo(t, "d/pipe")
	if err := os.Mkdir(filepath.Join(c.dir, "d/directory"), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(c.dir, "d/file"), 1234, 5678); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(c.dir, "d/device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(c.dir, "d/socket")}); err != nil {
		t.Fatal(err)
	}
	entries, err := c.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, kind, mode, target string }{
		{"device", "device", "Dcrw-------", ""},
		{"directory", "directory", "drwx--x--x", ""},
		{"file", "file", "-rw-r-----", ""},
		{"link", "symlink", "Lrwxrwxrwx", "/nowhere/at all"},
		{"pipe", "pipe", "prw-------", ""},
		{"socket", "socket", "Srwxr-xr-x", ""},
	}
	if len(entries) != len(want) {
		t.Fatalf("%d entries, want %d: %+v", len(entries), len(want), entries)
	}
	for i, w := range want {
		if e := entries[i]; e.Name != w.name || e.Type != w.kind || e.Mode != w.mode || e.Target != w.target {
			t.Errorf("entry %+v, want %+v", e, w)
		}
	}
	file := entries[2]
	if file.Size != 5 || file.UID != 1234 || file.GID != 5678 || file.ModTime.IsZero() || file.ModTime.Location().String() != "UTC" {
		t.Errorf("the file is %+v", file)
	}
	if empty, err := c.List("/d/directory"); err != nil || empty == nil || len(empty) != 0 {
		t.Errorf("an empty directory is %#v, %v: JSON wants a list", empty, err)
	}
}

func TestListRefusesWhatIsNoDirectory(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "", 0o644)
	c.fifo(t, "pipe") // opened, it would keep the caller for ever
	for name, want := range map[string]error{"/file": unix.ENOTDIR, "/pipe": unix.ENOTDIR, "/none": fs.ErrNotExist} {
		_, err := c.List(name)
		wantIs(t, err, want)
	}
	wantIs(t, c.ReadTar("/pipe", nil), unix.ENOTDIR)
}

func TestOpen(t *testing.T) {
	c := newContainer(t)
	c.put(t, "d/file", "inside", 0o600)
	c.put(t, "etc/passwd", "the container's", 0o644)
	c.symlink(t, "/d/file", "absolute")
	c.symlink(t, "../d/file", "d/relative")
	c.symlink(t, "/d", "dir")
	c.symlink(t, "../../../../../../../etc/passwd", "up")
	c.symlink(t, "/proc/self/root/etc/passwd", "magic")
	c.symlink(t, c.outside+"/canary", "host")
	c.symlink(t, "loop", "loop")
	c.fifo(t, "pipe")
	for name, want := range map[string]string{
		"/d/file": "inside", "d/file": "inside", "/absolute": "inside", "/d/relative": "inside", "/dir/file": "inside",
		"/d/../d/./file": "inside", "/../../d/file": "inside", "/dir/../etc/passwd": "the container's",
		"/up": "the container's", "/../../../../../../etc/passwd": "the container's",
	} {
		if got, err := c.read(name); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"/none": fs.ErrNotExist, "/host": fs.ErrNotExist, "/none/file": fs.ErrNotExist, "/d/file/below": unix.ENOTDIR,
		"/pipe": files.ErrNotRegular, "/magic": unix.ELOOP, "/loop": unix.ELOOP, "/proc/self/root/d/file": unix.ELOOP,
		"/proc/self/cwd": unix.ELOOP, "/proc/self/fd/0": unix.ELOOP, c.outside + "/canary": fs.ErrNotExist,
	} {
		got, err := c.read(name)
		if wantIs(t, err, want); t.Failed() {
			t.Errorf("%s: read %q", name, got)
		}
	}
	f, info, err := c.Open("/dir")
	if err != nil || !info.IsDir() {
		t.Fatalf("a directory through a link: %v, %v", info, err)
	}
	f.Close()
}

func TestOpenCrossesTheContainersMounts(t *testing.T) {
	c := newContainer(t)
	if err := os.WriteFile(filepath.Join(c.dir, "small/hidden"), []byte("below the mount"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := c.List("/small")
	if err != nil || len(entries) != 0 {
		t.Errorf("the small disk holds %v, %v", entries, err)
	}
}

func TestGoneContainer(t *testing.T) {
	const noSuchPID = 1 << 30 // above the kernel's highest, 1<<22
	_, err := files.Of(noSuchPID).List("/")
	wantIs(t, err, fs.ErrNotExist)
}
