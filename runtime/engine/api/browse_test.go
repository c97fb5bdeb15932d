package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/access"
	"berth/runtime/engine/browse"
	"berth/runtime/engine/container"
	"berth/runtime/engine/image"
)

// browser has one volume, "data", in a real directory, mounted by the container "web" of uid 1000.
type browser struct {
	dir  string
	list []image.Change
}

func (b browser) List(context.Context) ([]browse.Volume, error) {
	size := int64(5)
	return []browse.Volume{{Name: "data", Size: &size, Labels: map[string]string{}, UsedBy: []browse.User{{Name: "web", RW: true}}}}, nil
}

func (b browser) Open(name string) (*os.File, error) {
	switch name {
	case "data":
		return os.OpenFile(b.dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	case "memory":
		return nil, errdefs.ErrFailedPrecondition.WithMessage("volume memory is in memory (tmpfs): start a container")
	}
	return nil, errdefs.ErrNotFound.WithMessage("get " + name + ": no such volume")
}

func (b browser) View(_ context.Context, _, ref string) (*browse.View, error) {
	switch ref {
	case "", "web":
		return browse.NewView(
			container.VolumeUser{ID: "c1", Name: "web", Destination: "/data", Subpath: "/", RW: true, Running: true},
			container.Viewer{
				Process: access.Process{UID: 1000, GIDs: []uint32{1000}, Name: "app"},
				Users:   map[uint32]string{uint32(os.Geteuid()): "root"}, Above: []access.Node{{Path: "/", Mode: fs.ModeDir | 0o755}},
			},
		), nil
	case "none":
		return nil, nil
	}
	return nil, errdefs.ErrNotFound.WithMessage("container " + ref + " does not mount volume data")
}

func (b browser) Changes(_ context.Context, ref, filter string, limit int) (browse.Changes, error) {
	if ref != "web" {
		return browse.Changes{}, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
	}
	return browse.Summarize(b.list, filter, limit), nil
}

func withVolume(t *testing.T) (*server, string) {
	t.Helper()
	s, dir := serve(t), t.TempDir()
	s.api.Browser = browser{dir: dir, list: []image.Change{
		{Path: "/etc/motd", Kind: image.Added, Mode: 0o644, Size: 3}, {Path: "/etc/passwd", Kind: image.Modified, Mode: 0o644, Size: 100},
	}}
	s.Config.Handler = s.api.Handler()
	return s, dir
}

type listing struct {
	Volume, Path string
	Container    *struct {
		Name, User string
		UID        int
	}
	Directory browse.Entry
	Entries   []browse.Entry
	Total     int
	More      bool
}

func (s *server) listing(t *testing.T, target string) (l listing) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.want(t, "GET", target, "", http.StatusOK)), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestVolumeFiles(t *testing.T) {
	s, dir := withVolume(t)
	const at = "/v1/volumes/data/files"
	s.want(t, "POST", at+"/sub?mkdir", "", http.StatusCreated)
	s.want(t, "PUT", at+"/sub/a.txt", "hello", http.StatusNoContent)
	if got := s.want(t, "GET", at+"/sub/a.txt", "", http.StatusOK); got != "hello" {
		t.Errorf("read %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "sub", "a.txt")); err != nil || string(b) != "hello" {
		t.Errorf("on the disk %q, %v", b, err)
	}
	tar := s.want(t, "GET", at+"/sub?archive=tar", "", http.StatusOK)
	s.want(t, "POST", at+"/copy?mkdir", "", http.StatusCreated)
	s.want(t, "PUT", at+"/copy?archive=tar", tar, http.StatusNoContent)
	var entries []browse.Entry
	if err := json.Unmarshal([]byte(s.want(t, "GET", at, "", http.StatusOK)), &entries); err != nil || len(entries) != 2 ||
		entries[0].Name != "copy" || entries[0].Owner != "root" || !strings.Contains(entries[0].Why, `uid 1000 "app"`) {
		t.Errorf("%+v, %v", entries, err)
	}
	s.want(t, "DELETE", at+"/copy", "", http.StatusNoContent)
	s.want(t, "GET", at+"/copy", "", http.StatusNotFound)
	s.want(t, "DELETE", at+"/", "", http.StatusBadRequest)
	s.want(t, "GET", at+"/sub/a.txt/x", "", http.StatusConflict)
	s.want(t, "GET", "/v1/volumes/none/files/", "", http.StatusNotFound)
	s.want(t, "GET", "/v1/volumes/memory/files/", "", http.StatusConflict)
	s.want(t, "GET", at+"/?container=other", "", http.StatusNotFound)
}

// What is made belongs to the owner of the directory that it is made in; what was there stays whose it was.
func TestVolumeOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of other owners")
	}
	s, dir := withVolume(t)
	const at = "/v1/volumes/data/files"
	if err := os.Chown(dir, 1000, 50); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "roots"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(t, "PUT", at+"/new", "x", http.StatusNoContent)
	s.want(t, "PUT", at+"/roots", "x", http.StatusNoContent)
	s.want(t, "POST", at+"/a/b?mkdir", "", http.StatusCreated)
	s.want(t, "PUT", at+"/a/b/c", "x", http.StatusNoContent)
	s.want(t, "PUT", at+"/none/c", "x", http.StatusNotFound)
	for name, want := range map[string]string{"new": "1000:50", "roots": "0:0", "a": "1000:50", "a/b": "1000:50", "a/b/c": "1000:50"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d:%d", st.Uid, st.Gid); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestVolumeListing(t *testing.T) {
	s, dir := withVolume(t)
	for i := range 25 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d", i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const at = "/v1/volumes/data/files/?about"
	l := s.listing(t, at)
	if l.Volume != "data" || l.Path != "/" || l.Container.Name != "web" || l.Container.UID != 1000 || l.Total != 25 || l.More || l.Directory.Why == "" {
		t.Errorf("%+v", l)
	}
	var names []string
	for after, more := "", true; more; {
		l = s.listing(t, at+"&limit=10&after="+after)
		for _, e := range l.Entries {
			names = append(names, e.Name)
		}
		more, after = l.More, names[len(names)-1]
	}
	if len(names) != 25 || names[0] != "00" || names[24] != "24" {
		t.Errorf("page by page: %q", names)
	}
	if l = s.listing(t, at+"&container=none"); l.Container != nil || l.Directory.Why != "" {
		t.Errorf("nobody mounts it: %+v", l)
	}
	var all []browse.Volume
	if err := json.Unmarshal([]byte(s.want(t, "GET", "/v1/volumes", "", http.StatusOK)), &all); err != nil || len(all) != 1 || *all[0].Size != 5 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestChanges(t *testing.T) {
	s, _ := withVolume(t)
	var c browse.Changes
	if err := json.Unmarshal([]byte(s.want(t, "GET", "/v1/changes?container=web&limit=1", "", http.StatusOK)), &c); err != nil ||
		c.Total != 2 || !c.More || len(c.Changes) != 1 || c.Changes[0].Kind != "added" || c.Bytes != 103 {
		t.Errorf("%+v, %v", c, err)
	}
	res, _ := s.ask(t, "GET", "/v1/changes?container=web", "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/changes?container=web", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", res.Header.Get("Etag"))
	again, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = again.Body.Close(); again.StatusCode != http.StatusNotModified {
		t.Errorf("nothing has changed, and the answer is %s", again.Status)
	}
	s.want(t, "GET", "/v1/changes", "", http.StatusBadRequest)
	s.want(t, "GET", "/v1/changes?container=none", "", http.StatusNotFound)
}
