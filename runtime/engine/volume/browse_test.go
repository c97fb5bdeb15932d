package volume_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/files"
	"berth/runtime/engine/volume"
)

// What is opened stays the same directory, whatever becomes of the volume.
func TestOpen(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	v, err := s.Create(api.CreateRequest{Name: "data"})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(v.Mountpoint, "a"), []byte("x"), 0o644))
	dir, err := s.Open("data")
	must(t, err)
	defer dir.Close()
	tree := files.In(dir)
	list, err := tree.List("/")
	if err != nil || len(list) != 1 || list[0].Name != "a" {
		t.Errorf("%v, %v", list, err)
	}
	must(t, s.Remove("data", false))
	if list, err := tree.List("/"); len(list) != 0 {
		t.Errorf("removed, and lists %v, %v", list, err)
	}
	if _, err := s.Open("data"); !errdefs.IsNotFound(err) {
		t.Errorf("removed, and opens: %v", err)
	}
}

// A link in a volume leads nowhere out of it.
func TestOpenIsARoot(t *testing.T) {
	s, _, dir := open(t, volume.Options{})
	v, err := s.Create(api.CreateRequest{Name: "data"})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o644))
	for name, to := range map[string]string{"up": "../../secret", "abs": filepath.Join(dir, "secret"), "root": "/"} {
		must(t, os.Symlink(to, filepath.Join(v.Mountpoint, name)))
	}
	d, err := s.Open("data")
	must(t, err)
	defer d.Close()
	tree := files.In(d)
	for _, name := range []string{"/up", "/abs", "/root/secret", "/../../secret"} {
		if f, _, err := tree.Open(name); err == nil {
			_ = f.Close()
			t.Errorf("%s opens", name)
		}
	}
	if list, err := tree.List("/root"); err != nil || len(list) != 3 {
		t.Errorf("/ in a volume is not the volume: %v, %v", list, err)
	}
}

// Volumes with options have files only while they are mounted.
func TestOpenSpecial(t *testing.T) {
	needRoot(t)
	machine := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(machine, "srv"), 0o755))
	must(t, os.WriteFile(filepath.Join(machine, "srv", "index.html"), nil, 0o644))
	s, _, _ := open(t, volume.Options{HostPath: func(p string) (string, error) { return filepath.Join(machine, p), nil }})
	for name, c := range map[string]struct {
		options map[string]string
		says    string
	}{
		"memory": {map[string]string{"type": "tmpfs", "device": "tmpfs"}, "in memory"},
		"bound":  {map[string]string{"type": "none", "device": "/srv", "o": "bind"}, "the directory /srv of this machine"},
	} {
		_, err := s.Create(api.CreateRequest{Name: name, DriverOpts: c.options})
		must(t, err)
		if _, err := s.Open(name); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		_, err = s.Use(name, "c")
		must(t, err)
		d, err := s.Open(name)
		must(t, err)
		must(t, files.In(d).Write("/made", strings.NewReader("x")))
		must(t, d.Close())
	}
	if _, err := os.Stat(filepath.Join(machine, "srv", "made")); err != nil {
		t.Errorf("not written into the directory itself: %v", err)
	}
	all, err := s.Usages(t.Context(), time.Minute)
	if err != nil || len(all) != 2 || all[0].Hidden+all[1].Hidden != "" {
		t.Errorf("mounted: %+v, %v", all, err)
	}
	must(t, s.Release("c"))
	if all, err = s.Usages(t.Context(), time.Minute); err != nil || all[0].Hidden == "" || all[1].Hidden == "" {
		t.Errorf("unmounted: %+v, %v", all, err)
	}
}

// Counting is bounded, and what was counted in time is told.
func TestUsages(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	for i, name := range []string{"aa", "bb"} {
		v, err := s.Create(api.CreateRequest{Name: name})
		must(t, err)
		for n := range 10 * (i + 1) {
			must(t, os.WriteFile(filepath.Join(v.Mountpoint, fmt.Sprint(n)), []byte("12345"), fs.FileMode(0o644)))
		}
	}
	all, err := s.Usages(t.Context(), time.Minute)
	must(t, err)
	if len(all) != 2 || *all[0].Size != 50 || *all[1].Size != 100 {
		t.Errorf("%+v", all)
	}
	all, err = s.Usages(t.Context(), 0)
	must(t, err)
	if len(all) != 2 || all[0].Size != nil || all[1].Size != nil {
		t.Errorf("without time: %+v", all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Usages(ctx, time.Minute); err == nil {
		t.Error("cancelled, and counts")
	}
}
