package sandboxtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"berth/quotas"
	"berth/quotas/cgroup"
	"berth/quotas/network"
	"berth/runtime/imagecache"
	"berth/runtime/sandbox"
	"berth/sessions"
)

// Host is a corner of the machine for one test.
type Host struct {
	Instance string
	Config   sandbox.Config

	place place
}

// place is all that makes up a corner, in a form that another process can be told.
type place struct{ Instance, Data, Run, Images, Runc, DockerInit, DockerDir string }

func (p place) config() (sandbox.Config, error) {
	images, err := imagecache.Open(filepath.Join(p.Images, "images"))
	if err != nil {
		return sandbox.Config{}, err
	}
	groups, err := cgroup.Detect("/sys/fs/cgroup")
	if err != nil {
		return sandbox.Config{}, err
	}
	corner, err := groups.Instance(p.Instance)
	if err != nil {
		return sandbox.Config{}, err
	}
	net, err := network.Open(network.Config{Instance: p.Instance})
	return sandbox.Config{
		Instance: p.Instance, DataDir: p.Data, RunDir: p.Run, Runc: p.Runc, DockerInit: p.DockerInit, DockerDir: p.DockerDir,
		Images: images, Cgroups: corner, Network: net,
	}, err
}

// New makes a corner; it is checked to be empty, and removed, when the test ends. The test is skipped where it cannot
// run, with the reason.
func New(t *testing.T) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: sandboxes are made of namespaces, mounts and control groups")
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	h := &Host{Instance: "t" + hex.EncodeToString(random[:])}
	h.place = place{
		Instance: h.Instance, Data: t.TempDir(), Run: filepath.Join("/run", "berth-"+h.Instance),
		Images: Images(t), Runc: Program(t, "runc"), DockerInit: Program(t, "docker-init"),
	}
	config, err := h.place.config()
	check(t, err)
	h.Config = config
	h.Config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	t.Cleanup(func() {
		h.clean(t)
		check(t, h.Config.Network.Close())
		check(t, h.Config.Cgroups.Release())
		check(t, os.RemoveAll(h.Config.RunDir))
	})
	return h
}

// Clean removes what a server that is no more has left of its corner, and returns which sandboxes that were.
func (c Corner) Clean(t *testing.T) []sessions.ID {
	t.Helper()
	p := place{
		Instance: c.Instance, Data: c.DataDir, Run: c.RunDir, Images: filepath.Dir(c.Images),
		Runc: Program(t, "runc"), DockerInit: Program(t, "docker-init"),
		DockerDir: filepath.Dir(Program(t, "runc")), // as that server: on a full disk there is no room for other programs
	}
	config, err := p.config()
	check(t, err)
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := sandbox.New(context.WithoutCancel(t.Context()), config)
	check(t, err)
	removed, err := l.Sweep(context.WithoutCancel(t.Context()), nil)
	check(t, err)
	check(t, l.Close())
	check(t, config.Network.Close())
	check(t, config.Cgroups.Release())
	check(t, os.RemoveAll(c.RunDir))
	return removed
}

// clean ends what a failed test has left, so that the next one finds the machine as this one did.
func (h *Host) clean(t *testing.T) {
	l, err := sandbox.New(t.Context(), h.Config)
	check(t, err)
	removed, err := l.Sweep(context.WithoutCancel(t.Context()), nil) // that context has ended when cleanups run
	if len(removed) > 0 && !t.Failed() {
		t.Errorf("the test left sandboxes: %v", removed)
	}
	check(t, err)
	check(t, l.Close())
}

// Launcher returns a launcher, as one server has it.
func (h *Host) Launcher(t *testing.T) *sandbox.Launcher {
	t.Helper()
	l, err := sandbox.New(t.Context(), h.Config)
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	return l
}

// Spec returns a small sandbox of the image busybox.
func Spec() sessions.Spec {
	return sessions.Spec{
		Image: "busybox", Hostname: "busybox",
		Limits: quotas.Limits{
			CPUs: 1, MemoryBytes: 256 << 20, PIDs: 256, DiskBytes: 256 << 20, DiskInodes: 65536, Terminals: 8,
		},
	}
}

// Program returns the path of a program of bin/.
func Program(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("BERTH_TEST_BIN")
	if dir == "" {
		dir = filepath.Join(root(t), "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: run make build, or the tests by make test", path)
	}
	return path
}

// Images returns a data directory that has the images busybox and debian.
func Images(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("BERTH_TEST_IMAGES")
	if dir == "" {
		dir = filepath.Join(root(t), ".cache")
	}
	if _, err := os.Stat(filepath.Join(dir, "images", "index.json")); err != nil {
		t.Skipf("needs images in %s: run make test-images, or the tests by make test", dir)
	}
	return dir
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	check(t, err)
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test")
	return ""
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
