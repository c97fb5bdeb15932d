package browse_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/runtime/engine/access"
	"berth/runtime/engine/browse"
	"berth/runtime/engine/container"
	"berth/runtime/engine/files"
	"berth/runtime/engine/image"
)

// volume makes a directory with files of several owners, and lists one of its directories as the container sees it.
func list(t *testing.T, view *browse.View, dir string) (browse.Entry, map[string]browse.Entry) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of other owners")
	}
	root := t.TempDir()
	for _, f := range []struct {
		name     string
		uid, gid int
		mode     fs.FileMode
	}{
		{".", 0, 0, fs.ModeDir | 0o755},
		{"own", 1000, 1000, fs.ModeDir | 0o755},
		{"own/a.txt", 1000, 1000, 0o644},
		{"own/roots.txt", 0, 0, 0o644},
		{"own/ro.txt", 1000, 1000, 0o444},
		{"own/shared", 0, 44, fs.ModeDir | fs.ModeSticky | 0o1775},
		{"closed", 0, 0, fs.ModeDir | 0o700},
		{"closed/a.txt", 1000, 1000, 0o644},
		{"other", 5, 6, 0o640},
	} {
		at := filepath.Join(root, f.name)
		var err error
		if f.mode.IsDir() {
			err = os.MkdirAll(at, 0o755)
		} else {
			err = os.WriteFile(at, nil, 0o600)
		}
		if err == nil {
			err = os.Chown(at, f.uid, f.gid)
		}
		if err == nil {
			err = os.Chmod(at, f.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/shadow", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	tree := files.At(root)
	way, err := tree.Way(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tree.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	self, all := view.Directory(dir, way, entries)
	byName := map[string]browse.Entry{}
	for _, e := range all {
		byName[e.Name] = e
	}
	return self, byName
}

func viewer(rw bool, subpath string, p access.Process) *browse.View {
	names := map[uint32]string{0: "root", 1000: "app"}
	groups := map[uint32]string{0: "root", 44: "video"}
	return browse.NewView(
		container.VolumeUser{ID: "c1", Name: "web", Image: "site", Destination: "/data", Subpath: subpath, RW: rw, Running: true},
		container.Viewer{Process: p, Users: names, Groups: groups, Above: []access.Node{{Path: "/", Mode: fs.ModeDir | 0o755}}},
	)
}

var app = access.Process{UID: 1000, GIDs: []uint32{1000, 44}, Name: "app"}

func says(t *testing.T, e browse.Entry, want string) {
	t.Helper()
	if (e.Why == "") != (want == "") || !strings.Contains(e.Why, want) {
		t.Errorf("%s: %q, want %q", e.Name, e.Why, want)
	}
}

func TestDirectory(t *testing.T) {
	self, all := list(t, viewer(true, "/", app), "/")
	says(t, self, "/data is owned by 0:0 (root) with mode 755")
	if self.Fix != "docker exec -u 0 web chown -R 1000:1000 /data" || self.Owner != "root" || self.Name != "." {
		t.Errorf("%+v", self)
	}
	says(t, all["own"], "")
	says(t, all["closed"], "/data/closed is owned by 0:0")
	says(t, all["link"], "")
	if e := all["other"]; e.Owner != "" || e.Group != "" || e.UID != 5 || e.GID != 6 {
		t.Errorf("nobody's: %+v", e)
	}
	self, all = list(t, viewer(true, "/", app), "/own")
	says(t, self, "")
	says(t, all["a.txt"], "")
	says(t, all["roots.txt"], "/data/own/roots.txt is owned by 0:0 (root) with mode 644")
	says(t, all["ro.txt"], "chmod u+w")
	says(t, all["shared"], "")
	if e := all["shared"]; e.Owner != "root" || e.Group != "video" {
		t.Errorf("owners: %+v", e)
	}
	_, all = list(t, viewer(true, "/", app), "/closed")
	says(t, all["a.txt"], "/data/closed is on the way")
	self, all = list(t, viewer(false, "/", app), "/own")
	says(t, self, "read-only at /data")
	says(t, all["a.txt"], "read-only at /data")
}

// A container that mounts a part of a volume is told paths of its own, and nothing of the rest.
func TestDirectoryOfSubpath(t *testing.T) {
	v := viewer(true, "/own", app)
	self, all := list(t, v, "/")
	says(t, self, "")
	says(t, all["closed"], "")
	self, all = list(t, v, "/own")
	says(t, self, "")
	says(t, all["roots.txt"], "/data/roots.txt is owned by 0:0 (root)")
}

// Nobody mounts it: numbers only.
func TestDirectoryWithoutContainer(t *testing.T) {
	self, all := list(t, nil, "/")
	says(t, self, "")
	says(t, all["closed"], "")
	if len(all) != 4 || all["own"].Owner != "" || all["own"].UID != 1000 {
		t.Errorf("%+v", all)
	}
}

func TestSummarize(t *testing.T) {
	list := []image.Change{
		{Path: "/etc", Kind: image.Modified, Mode: fs.ModeDir | 0o755},
		{Path: "/etc/Motd", Kind: image.Added, Mode: 0o644, Size: 10},
		{Path: "/etc/passwd", Kind: image.Modified, Mode: 0o644, Size: 100},
		{Path: "/etc/rc", Kind: image.Deleted},
		{Path: "/run/x", Kind: image.Added, Mode: fs.ModeNamedPipe},
		{Path: "/run/y", Kind: image.Added, Mode: fs.ModeSymlink},
	}
	got := browse.Summarize(list, "", 4)
	if got.Total != 6 || got.Added != 3 || got.Changed != 2 || got.Removed != 1 || got.Bytes != 110 || !got.More || len(got.Changes) != 4 {
		t.Errorf("%+v", got)
	}
	if want := fmt.Sprint([]browse.Change{{"/etc", "changed", "directory", 0}, {"/etc/Motd", "added", "file", 10}, {"/etc/passwd", "changed", "file", 100}, {"/etc/rc", "removed", "", 0}}); fmt.Sprint(got.Changes) != want {
		t.Errorf("%v", got.Changes)
	}
	some := browse.Summarize(list, "moTD", 4)
	if some.Total != 1 || some.More || some.Changes[0].Path != "/etc/Motd" {
		t.Errorf("%+v", some)
	}
	if none := browse.Summarize(nil, "", 4); none.Changes == nil || none.Total != 0 {
		t.Errorf("%+v", none)
	}
	list[1].Size++
	if again := browse.Summarize(list, "", 4); again.Tag == got.Tag {
		t.Error("a file has grown, and the tag is the same")
	}
}
