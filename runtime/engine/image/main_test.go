package image_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/engine/image"
	"berth/runtime/imagecache/catalogue"
)

// inside marks the process that runs the tests: in namespaces as a sandbox has them.
const inside = "BERTH_TEST_INSIDE"

// TestMain runs the tests as root of a user namespace, with a mount namespace of its own: no mount stays behind, and the
// kernel refuses what it refuses in a sandbox.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Pdeathsig: unix.SIGKILL,
	}
	err := chroot.Thread(cmd.Run)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		os.Exit(failed.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// host is a shared cache: layers and their catalogue.
type host struct {
	t                 testing.TB
	layers, catalogue string
	index             catalogue.Index
}

func newHost(t testing.TB) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, layers: filepath.Join(dir, "layers"), catalogue: filepath.Join(dir, "catalogue"), index: catalogue.Index{
		Version: catalogue.Version, Names: map[string]string{}, Images: map[string]catalogue.Image{}, Layers: map[string]catalogue.Tree{},
		Digests: map[string]string{},
	}}
	must(t, os.MkdirAll(h.layers, 0o755))
	must(t, os.MkdirAll(filepath.Join(h.catalogue, catalogue.BlobsDir), 0o755))
	h.publish()
	return h
}

// layer makes a tree of files with their contents, and returns its made-up diff-id.
func (h *host) layer(files map[string]string) digest.Digest {
	h.t.Helper()
	body, err := json.Marshal(files)
	must(h.t, err)
	id := digest.FromBytes(body)
	tree := catalogue.Tree{}
	for name, text := range files {
		writeFile(h.t, filepath.Join(h.layers, id.Encoded(), name), text)
		tree.Size += int64(len(text))
	}
	h.index.Layers[id.String()] = tree
	return id
}

// image puts an image of these layers into the catalogue.
func (h *host) image(name string, layers ...digest.Digest) string {
	h.t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var config dockerspec.DockerOCIImage
	config.OS, config.Architecture, config.Created = "linux", goruntime.GOARCH, &at
	config.Config.Cmd, config.Config.Env = []string{"sh"}, []string{"PATH=/bin"}
	config.RootFS.Type, config.RootFS.DiffIDs = "layers", layers
	body, err := json.Marshal(config)
	must(h.t, err)
	id := digest.FromBytes(body)
	writeFile(h.t, filepath.Join(h.catalogue, catalogue.BlobsDir, id.Encoded()), string(body))
	rec := catalogue.Image{}
	for _, l := range layers {
		rec.Layers = append(rec.Layers, catalogue.Layer{DiffID: l.String()})
	}
	h.index.Images[id.String()], h.index.Names[name] = rec, id.String()
	h.publish()
	return id.String()
}

// publish replaces the catalogue, as the cache does.
func (h *host) publish() {
	h.t.Helper()
	body, err := json.Marshal(h.index)
	must(h.t, err)
	fresh := filepath.Join(h.catalogue, ".new")
	writeFile(h.t, fresh, string(body))
	must(h.t, os.Rename(fresh, filepath.Join(h.catalogue, catalogue.IndexFile)))
}

// busybox is the image that most tests start from.
func (h *host) busybox() string {
	return h.image("docker.io/library/busybox:latest", h.layer(map[string]string{
		"bin/sh": "#!", "etc/passwd": "root", "usr/share/doc/a": "a", "usr/share/doc/b": "b",
	}))
}

func open(t testing.TB, h *host, change ...func(*image.Options)) *image.Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces of its own")
	}
	o := image.Options{Dir: filepath.Join(t.TempDir(), "docker"), SharedLayers: h.layers, Catalogue: h.catalogue}
	for _, c := range change {
		c(&o)
	}
	s, err := image.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// mounted makes a root and mounts it for the length of the test.
func mounted(t testing.TB, s *image.Store, key, imageID string) string {
	t.Helper()
	must(t, s.NewRoot(t.Context(), key, imageID))
	dir := filepath.Join(t.TempDir(), "rootfs")
	must(t, s.MountRoot(t.Context(), key, dir))
	must(t, s.MountRoot(t.Context(), key, dir)) // idempotent
	t.Cleanup(func() { must(t, s.UnmountRoot(t.Context(), key, dir)) })
	return dir
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree lists the files below dir with their contents, without what the init layer has.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		must(t, err)
		rel, err := filepath.Rel(dir, p)
		must(t, err)
		if d.IsDir() || slices.Contains([]string{
			".dockerenv", "dev/console", "etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/mtab",
		}, rel) {
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			must(t, err)
			found[rel] = "-> " + target
			return nil
		}
		b, err := os.ReadFile(p)
		must(t, err)
		found[rel] = string(b)
		return nil
	}))
	return found
}

func changesOf(t testing.TB, s *image.Store, key string) string {
	t.Helper()
	list, err := s.Changes(t.Context(), key)
	must(t, err)
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%c %s\n", "CAD"[c.Kind], c.Path)
	}
	return b.String()
}
