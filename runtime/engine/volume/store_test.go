package volume_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	volumetypes "github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/events"
	"berth/runtime/engine/filter"
	"berth/runtime/engine/volume"
)

func TestCreate(t *testing.T) {
	s, _, dir := open(t, volume.Options{})
	v, err := s.Create(volumetypes.CreateRequest{Name: "data", Labels: map[string]string{"a": "b"}})
	must(t, err)
	if v.Name != "data" || v.Driver != "local" || v.Scope != "local" || v.Labels["a"] != "b" || v.Mountpoint != dir+"/data/_data" {
		t.Errorf("%+v", v)
	}
	shown, err := volume.Open(dir, &events.Bus{}, volume.Options{Shown: "/var/lib/docker/volumes"})
	must(t, err)
	if v, err := shown.Get("data"); err != nil || v.Mountpoint != "/var/lib/docker/volumes/data/_data" {
		t.Errorf("%+v %v", v, err)
	}
	again, err := s.Create(volumetypes.CreateRequest{Name: "data"})
	must(t, err)
	if again.CreatedAt != v.CreatedAt || again.Labels["a"] != "b" {
		t.Errorf("created again: %+v", again)
	}
	anonymous, err := s.Create(volumetypes.CreateRequest{Driver: "local"})
	must(t, err)
	if _, ok := anonymous.Labels["com.docker.volume.anonymous"]; !ok || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(anonymous.Name) {
		t.Errorf("%+v", anonymous)
	}
	for name, want := range map[string]string{
		"x":      "create x: volume name is too short, names should be at least two alphanumeric characters",
		"../etc": `create ../etc: "../etc" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
		".x":     "", "a/b": "", "a b": "", "-a": "", strings.Repeat("a", 256): "",
	} {
		_, err := s.Create(volumetypes.CreateRequest{Name: name})
		if !errdefs.IsInvalidArgument(err) || want != "" && err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = s.Create(volumetypes.CreateRequest{Name: "nfs", Driver: "nfs"})
	if !errdefs.IsNotFound(err) || err.Error() != `create nfs: error looking up volume plugin nfs: plugin "nfs" not found` {
		t.Error(err)
	}
}

func TestListAndGet(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	for _, name := range []string{"web", "db", "cache"} {
		_, err := s.Create(volumetypes.CreateRequest{Name: name, Labels: map[string]string{"role": name}})
		must(t, err)
	}
	_, err := s.Use("db", "c1")
	must(t, err)
	for filters, want := range map[string]string{
		``: "cache db web", `{"dangling":{"true":true}}`: "cache web", `{"dangling":{"false":true}}`: "db",
		`{"name":{"we":true}}`: "web", `{"label":{"role=db":true}}`: "db", `{"driver":{"nfs":true}}`: "",
	} {
		f, err := filter.Parse(filters)
		must(t, err)
		list, err := s.List(f)
		must(t, err)
		var names []string
		for _, v := range list {
			names = append(names, v.Name)
		}
		if got := strings.Join(names, " "); got != want || list == nil {
			t.Errorf("%s: %q, want %q", filters, got, want)
		}
	}
	if _, err := s.Get("none"); !errdefs.IsNotFound(err) || err.Error() != "get none: no such volume" {
		t.Error(err)
	}
	if _, err := s.List(filter.Args{"size": {"1": true}}); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
}

func TestRemove(t *testing.T) {
	s, bus, dir := open(t, volume.Options{})
	_, err := s.Create(volumetypes.CreateRequest{Name: "data"})
	must(t, err)
	path, err := s.Use("data", "c2")
	must(t, err)
	_, err = s.Use("data", "c1")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(path, "f"), []byte("x"), 0o600))
	for _, force := range []bool{false, true} {
		err := s.Remove("data", force)
		if !errdefs.IsConflict(err) || err.Error() != "remove data: volume is in use - [c1, c2]" {
			t.Error(err)
		}
	}
	must(t, s.Release("c1"))
	must(t, s.Release("c2"))
	must(t, s.Release("c2"))
	must(t, s.Remove("data", false))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	if err := s.Remove("data", false); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	must(t, s.Remove("data", true))
	if got := actions(bus); got != "create destroy" {
		t.Error(got)
	}
}

func TestEventsOfAContainer(t *testing.T) {
	s, bus, _ := open(t, volume.Options{})
	_, err := s.Create(volumetypes.CreateRequest{Name: "data"})
	must(t, err)
	_, err = s.Use("data", "c1")
	must(t, err)
	s.Mounted("data", "c1", volume.Place{Destination: "/data", ReadOnly: true})
	must(t, s.Stopped("c1"))
	must(t, s.Stopped("c1"))
	if got := actions(bus); got != "create mount unmount" {
		t.Error(got)
	}
	if err := s.Remove("data", false); !errdefs.IsConflict(err) {
		t.Errorf("a stopped container's volume is removed: %v", err)
	}
}

func TestPrune(t *testing.T) {
	s, bus, _ := open(t, volume.Options{})
	fill := func(r volumetypes.CreateRequest) string {
		v, err := s.Create(r)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(v.Mountpoint, "f"), []byte("12345"), 0o600))
		return v.Name
	}
	used, unused := fill(volumetypes.CreateRequest{}), fill(volumetypes.CreateRequest{})
	named := fill(volumetypes.CreateRequest{Name: "named"})
	kept := fill(volumetypes.CreateRequest{Name: "kept", Labels: map[string]string{"keep": ""}})
	_, err := s.Use(used, "c1")
	must(t, err)
	report, err := s.Prune(t.Context(), nil)
	must(t, err)
	if !slices.Equal(report.VolumesDeleted, []string{unused}) || report.SpaceReclaimed != 5 {
		t.Errorf("%+v", report)
	}
	report, err = s.Prune(t.Context(), filter.Args{"all": {"true": true}, "label!": {"keep": true}})
	must(t, err)
	if !slices.Equal(report.VolumesDeleted, []string{named}) {
		t.Errorf("%+v", report)
	}
	for _, name := range []string{used, kept} {
		if _, err := s.Get(name); err != nil {
			t.Error(err)
		}
	}
	if got := actions(bus); !strings.HasSuffix(got, "prune destroy prune") {
		t.Error(got)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := s.Prune(ctx, filter.Args{"all": {"1": true}}); !errors.Is(err, gone) {
		t.Error(err)
	}
}

func TestOpenFindsVolumesAgain(t *testing.T) {
	s, _, dir := open(t, volume.Options{})
	v, err := s.Create(volumetypes.CreateRequest{Name: "data", Labels: map[string]string{"a": "b"}})
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, ".removing-x", "_data"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "half"), 0o755))            // killed before its description was written
	must(t, os.MkdirAll(filepath.Join(dir, "lost", "_data"), 0o755))   // its description is gone
	must(t, os.MkdirAll(filepath.Join(dir, "lost+found"), 0o755))      // not ours
	must(t, os.MkdirAll(filepath.Join(dir, "broken", "_data"), 0o755)) // its description cannot be read
	must(t, os.WriteFile(filepath.Join(dir, "broken", "volume.json"), []byte("{"), 0o600))
	s, err = volume.Open(dir, &events.Bus{}, volume.Options{})
	must(t, err)
	got, err := s.Get("data")
	must(t, err)
	if got.Labels["a"] != "b" || got.CreatedAt != v.CreatedAt {
		t.Errorf("%+v", got)
	}
	list, err := s.List(nil)
	must(t, err)
	if len(list) != 3 {
		t.Errorf("%+v", list)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
		t.Error(left, err)
	}
}

func TestAtOnce(t *testing.T) {
	s, _, _ := open(t, volume.Options{})
	image := t.TempDir()
	must(t, os.WriteFile(filepath.Join(image, "f"), []byte("x"), 0o600))
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			container := string(rune('a' + i))
			for range 20 {
				_, err := s.Create(volumetypes.CreateRequest{Name: "shared"})
				if err == nil {
					_, err = s.Use("shared", container)
				}
				if err == nil {
					err = s.Populate(t.Context(), "shared", image)
				}
				if err != nil && !errdefs.IsNotFound(err) { // removed by another between Create and Use
					t.Error(err)
				}
				if err := s.Release(container); err != nil {
					t.Error(err)
				}
				if err := s.Remove("shared", true); err != nil && !errdefs.IsConflict(err) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, s.Remove("shared", true))
}

func actions(b *events.Bus) string {
	past, l := b.Listen(time.Unix(1, 0))
	l.Close()
	var names []string
	for _, m := range past {
		names = append(names, string(m.Action))
	}
	return strings.Join(names, " ")
}
