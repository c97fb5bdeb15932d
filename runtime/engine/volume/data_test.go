package volume_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	volumetypes "github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/volume"
)

// TestPopulate copies what an image may have at a mount point.
func TestPopulate(t *testing.T) {
	needRoot(t)
	s, _, _ := open(t, volume.Options{})
	from := t.TempDir()
	for _, step := range []error{
		os.Mkdir(from+"/sub", 0o750), os.WriteFile(from+"/sub/one", []byte("content"), 0o640), os.Link(from+"/sub/one", from+"/two"),
		os.Symlink("/etc/passwd", from+"/link"), unix.Mkfifo(from+"/fifo", 0o600), os.Chown(from+"/sub/one", 33, 44),
		os.WriteFile(from+"/setuid", nil, 0o755), os.Chmod(from+"/setuid", 0o755|fs.ModeSetuid),
		unix.Setxattr(from+"/sub/one", "user.note", []byte("hello"), 0), os.Chown(from, 7, 8), os.Chmod(from, 0o1777|fs.ModeSticky),
		os.Lchown(from+"/link", 5, 6),
	} {
		must(t, step)
	}
	v, err := s.Create(volumetypes.CreateRequest{Name: "data"})
	must(t, err)
	must(t, s.Populate(t.Context(), "data", from))
	at := v.Mountpoint
	for path, want := range map[string]struct {
		mode     fs.FileMode
		uid, gid uint32
	}{
		"": {fs.ModeDir | fs.ModeSticky | 0o777, 7, 8}, "sub": {fs.ModeDir | 0o750, 0, 0}, "sub/one": {0o640, 33, 44}, "two": {0o640, 33, 44},
		"link": {fs.ModeSymlink | 0o777, 5, 6}, "fifo": {fs.ModeNamedPipe | 0o600, 0, 0}, "setuid": {fs.ModeSetuid | 0o755, 0, 0},
	} {
		info, err := os.Lstat(filepath.Join(at, path))
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode() != want.mode || st.Uid != want.uid || st.Gid != want.gid {
			t.Errorf("%q: %v %d:%d, want %+v", path, info.Mode(), st.Uid, st.Gid, want)
		}
	}
	one, err := os.Stat(at + "/sub/one")
	must(t, err)
	two, err := os.Stat(at + "/two")
	must(t, err)
	note := make([]byte, 10)
	n, err := unix.Getxattr(at+"/two", "user.note", note)
	must(t, err)
	if !os.SameFile(one, two) || string(note[:n]) != "hello" {
		t.Errorf("hard links: %v, attribute %q", os.SameFile(one, two), note[:n])
	}
	usage, err := s.DiskUsage(t.Context())
	must(t, err)
	want := int64(len("content") + len("/etc/passwd"))
	if len(usage) != 1 || usage[0].UsageData.Size != want {
		t.Errorf("%+v, want %d bytes", usage[0].UsageData, want)
	}
}

func TestPopulateOnlyIntoAnEmptyVolume(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	from := t.TempDir()
	must(t, os.WriteFile(from+"/image", nil, 0o600))
	v, err := s.Create(volumetypes.CreateRequest{Name: "data"})
	must(t, err)
	must(t, os.WriteFile(v.Mountpoint+"/mine", nil, 0o600))
	must(t, s.Populate(t.Context(), "data", from))
	must(t, s.Populate(t.Context(), "data", from+"/not-there"))
	must(t, s.Populate(t.Context(), "data", from+"/image"))
	if _, err := os.Stat(v.Mountpoint + "/image"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	for want, options := range map[string]map[string]string{
		`create data: invalid option: "foo"`:                     {"foo": "bar"},
		`create data: missing required option: "type"`:           {"device": "tmpfs"},
		`create data: missing required option: "device"`:         {"type": "tmpfs"},
		`create data: quota size requested but no quota support`: {"size": "1g"},
		`create data: volume option type=nfs is not supported in this playground: it has tmpfs, and none with o=bind`: {
			"type": "nfs", "device": ":/x", "o": "addr=1.2.3.4",
		},
		`create data: volume option type=none is not supported in this playground without o=bind`: {"type": "none", "device": "/x"},
		`create data: volume option device=x: want an absolute path`:                              {"type": "none", "device": "x", "o": "bind"},
		`create data: volume option o=context=x is not supported in this playground`:              {"type": "tmpfs", "device": "tmpfs", "o": "context=x"},
		`create data: volume option o=uid=1 is not supported in this playground`:                  {"type": "none", "device": "/x", "o": "bind,uid=1"},
	} {
		_, err := s.Create(volumetypes.CreateRequest{Name: "data", DriverOpts: options})
		if !errdefs.IsInvalidArgument(err) || err.Error() != want {
			t.Errorf("%v: %v, want %s", options, err, want)
		}
	}
}

func TestTmpfs(t *testing.T) {
	needRoot(t)
	s, _, _ := open(t, volume.Options{})
	_, err := s.Create(volumetypes.CreateRequest{Name: "fast", DriverOpts: map[string]string{
		"type": "tmpfs", "device": "tmpfs", "o": "size=64k,uid=1000,mode=700,noexec",
	}})
	must(t, err)
	path, err := s.Use("fast", "c1")
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1000 || info.Mode().Perm() != 0o700 {
		t.Errorf("%d %v", st.Uid, info.Mode())
	}
	if err := os.WriteFile(path+"/big", make([]byte, 128<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("128 KiB into 64: %v", err)
	}
	_, err = s.Use("fast", "c2")
	must(t, err)
	must(t, s.Stopped("c1"))
	if _, err := os.Stat(path + "/big"); err != nil {
		t.Errorf("unmounted while another uses it: %v", err)
	}
	must(t, s.Release("c1"))
	must(t, s.Release("c2"))
	if mounts(t, path) > 0 {
		t.Error("still mounted")
	}
	must(t, s.Remove("fast", false))
}

func TestBind(t *testing.T) {
	needRoot(t)
	workspace := t.TempDir()
	must(t, os.Mkdir(workspace+"/src", 0o755))
	s, _, _ := open(t, volume.Options{HostPath: func(p string) (string, error) { return filepath.Join(workspace, p), nil }})
	for name, o := range map[string]string{"src": "bind", "ro": "bind,ro"} {
		_, err := s.Create(volumetypes.CreateRequest{Name: name, DriverOpts: map[string]string{"type": "none", "device": "/src", "o": o}})
		must(t, err)
	}
	path, err := s.Use("src", "c1")
	must(t, err)
	must(t, os.WriteFile(path+"/f", nil, 0o600))
	if _, err := os.Stat(workspace + "/src/f"); err != nil {
		t.Error(err)
	}
	path, err = s.Use("ro", "c1")
	must(t, err)
	if err := os.WriteFile(path+"/g", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("written to a read-only volume: %v", err)
	}
	_, err = s.Create(volumetypes.CreateRequest{Name: "gone", DriverOpts: map[string]string{"type": "none", "device": "/gone", "o": "bind"}})
	must(t, err)
	if _, err := s.Use("gone", "c1"); err == nil || !strings.HasPrefix(err.Error(), "failed to mount local volume: mount /gone:") {
		t.Error(err)
	}
	must(t, s.Release("c1"))
	for _, name := range []string{"src", "ro", "gone"} {
		must(t, s.Remove(name, false))
	}
	if _, err := os.Stat(workspace + "/src/f"); err != nil {
		t.Errorf("removing the volume removed the workspace's files: %v", err)
	}
}

func mounts(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	return strings.Count(string(b), " "+path+" ")
}
