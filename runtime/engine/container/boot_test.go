package container_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/container"
	"berth/runtime/engine/events"
	"berth/runtime/engine/image"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/volume"
)

// shelf is images of one name; roots are only counted.
type shelf struct {
	container.Images // what is not called

	mu    sync.Mutex
	roots map[string]bool
	full  error // of NewRoot
}

func (s *shelf) Get(context.Context, string) (image.Image, error) {
	var i image.Image
	i.ID = "sha256:" + strings.Repeat("a", 64)
	i.Config.Config.Cmd = []string{"sh"}
	return i, nil
}

func (s *shelf) NewRoot(_ context.Context, key, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	s.roots[key] = true
	return nil
}

func (s *shelf) RemoveRoot(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.roots, key)
	return nil
}

func (s *shelf) UnmountRoot(context.Context, string, string) error { return nil }

func (s *shelf) RootUsage(context.Context, string) (rw, root int64, err error) { return 1, 2, nil }

// manager opens the containers in dir, with rooms that do nothing.
func manager(t *testing.T, dir string, images *shelf) *container.Manager {
	t.Helper()
	bus := &events.Bus{}
	volumes, err := volume.Open(filepath.Join(dir, "volumes"), bus, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := container.New(t.Context(), container.Options{
		Dir: filepath.Join(dir, "containers"), RunDir: t.TempDir(), Images: images, Networks: struct{ container.Networks }{}, Volumes: volumes,
		Runtime: &oci.Runtime{Cgroups: tree(t)}, Events: bus, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Workspace: container.Workspace{Rootfs: t.TempDir(), Hostname: "box"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func tree(t *testing.T) *oci.Cgroups {
	t.Helper()
	g, err := oci.FindCgroups(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func create(t *testing.T, m *container.Manager, name string, h api.HostConfig) string {
	t.Helper()
	made, err := m.Create(t.Context(), container.CreateOptions{
		Name: name, CreateRequest: api.CreateRequest{Config: &api.Config{Image: "x"}, HostConfig: &h},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// TestFoundAgain: a new sandbox on an old disk has its containers, and none of them runs.
func TestFoundAgain(t *testing.T) {
	dir, images := t.TempDir(), &shelf{roots: map[string]bool{}}
	first := manager(t, dir, images)
	kept := create(t, first, "kept", api.HostConfig{})
	ran := create(t, first, "ran", api.HostConfig{})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(dir, "containers", ran, "config.json")
	b, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	running := strings.Replace(string(b), `"Running":false`, `"Running":true`, 1)
	running = strings.Replace(running, `"StartedAt":"0001-01-01T00:00:00Z"`, `"StartedAt":"2026-01-01T00:00:00Z"`, 1)
	torn := filepath.Join(dir, "containers", "torn")
	if err := errors.Join(os.WriteFile(record, []byte(running), 0o600), os.Mkdir(torn, 0o700), os.WriteFile(torn+"/config.json", b[:10], 0o600)); err != nil {
		t.Fatal(err)
	}
	second := manager(t, dir, images)
	list, err := second.List(t.Context(), container.ListOptions{All: true})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d containers, %v", len(list), err)
	}
	if c, err := second.Get("kept"); err != nil || c.ID() != kept {
		t.Error(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		i, err := second.Inspect(t.Context(), "ran", true)
		if err != nil {
			t.Fatal(err)
		}
		if i.State.Status == "exited" && i.State.ExitCode == 255 && *i.SizeRw == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", i.State)
		}
	}
	if _, err := os.Stat(torn); err != nil {
		t.Error("a record that cannot be read was removed")
	}
}

// TestFailedCreateLeavesNothing: neither on the disk nor of the name.
func TestFailedCreateLeavesNothing(t *testing.T) {
	dir, images := t.TempDir(), &shelf{roots: map[string]bool{}, full: errors.New("no space left on device")}
	m := manager(t, dir, images)
	_, err := m.Create(t.Context(), container.CreateOptions{Name: "name", CreateRequest: api.CreateRequest{Config: &api.Config{Image: "x"}}})
	if !errors.Is(err, images.full) {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "containers"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	images.full = nil
	create(t, m, "name", api.HostConfig{})
}

// TestNamesAndPrefixes: how containers are called.
func TestNamesAndPrefixes(t *testing.T) {
	m := manager(t, t.TempDir(), &shelf{roots: map[string]bool{}})
	a := create(t, m, "", api.HostConfig{})
	create(t, m, "/given", api.HostConfig{})
	for _, ref := range []string{a, a[:12], a[:5], "given", "/given"} {
		if _, err := m.Get(ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for ref, want := range map[string]string{"nosuch": "No such container: nosuch", "": "No container name or ID supplied"} {
		if _, err := m.Get(ref); err == nil || err.Error() != want {
			t.Errorf("%q: %v", ref, err)
		}
	}
	c, err := m.Get(a)
	if err != nil || len(strings.Split(c.Name(), "_")) != 2 {
		t.Errorf("a name was made up: %q, %v", c.Name(), err)
	}
	if err := m.Rename(t.Context(), a, "given"); err == nil || !strings.HasPrefix(err.Error(), "Error when allocating new name: Conflict. The container name \"/given\" is already in use") {
		t.Error(err)
	}
}

// TestWaiting: each condition is met when it is.
func TestWaiting(t *testing.T) {
	m := manager(t, t.TempDir(), &shelf{roots: map[string]bool{}})
	create(t, m, "one", api.HostConfig{})
	now, stop, err := m.Wait("one", api.WaitConditionNotRunning)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if r := <-now; r.StatusCode != 0 {
		t.Error(r)
	}
	removed, stop, err := m.Wait("one", api.WaitConditionRemoved)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	select {
	case r := <-removed:
		t.Errorf("it is removed already: %+v", r)
	default:
	}
	if err := m.Remove(t.Context(), "one", container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	<-removed
	if _, _, err := m.Wait("one", "nonsense"); err == nil || !strings.Contains(err.Error(), "invalid condition") {
		t.Error(err)
	}
	names := []string{}
	for range 300 {
		c, err := m.Get(create(t, m, "", api.HostConfig{}))
		if err != nil || slices.Contains(names, c.Name()) {
			t.Fatalf("%q twice, %v", c.Name(), err)
		}
		names = append(names, c.Name())
	}
}
