package image_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image"
)

// builtOn makes a snapshot as a build leaves one: on the layers of an image, with files of its own.
func builtOn(t *testing.T, s *image.Store, stack image.Stack, name string, write func(dir string)) []digest.Digest {
	t.Helper()
	var ids []digest.Digest
	for _, l := range stack.Layers {
		ids = append(ids, digest.Digest(l.Annotations[image.LabelUncompressed]))
		have, err := s.HaveLayer(t.Context(), ids)
		must(t, err)
		if !have {
			t.Fatalf("layer %s is not there", l.Digest)
		}
	}
	ctx := namespaces.WithNamespace(t.Context(), image.Namespace)
	snapshots := s.Metadata().Snapshotter(image.Snapshotter)
	mounts, err := snapshots.Prepare(ctx, name+"-new", image.ChainID(ids))
	must(t, err)
	dir := t.TempDir()
	must(t, mount.All(mounts, dir))
	write(dir)
	must(t, unix.Unmount(dir, 0))
	must(t, snapshots.Commit(ctx, name, name+"-new"))
	return ids
}

// finish makes an image of what builtOn has made.
func finish(t *testing.T, s *image.Store, stack image.Stack, snapshot string, ids []digest.Digest, names ...string) image.Image {
	t.Helper()
	layer, err := s.Measure(t.Context(), snapshot)
	must(t, err)
	again, err := s.Measure(t.Context(), snapshot)
	must(t, err)
	if layer != again || layer.Files == 0 {
		t.Fatalf("measured %+v, then %+v", layer, again)
	}
	var config dockerspec.DockerOCIImage
	must(t, json.Unmarshal(stack.Config, &config))
	config.RootFS.DiffIDs = append(ids[:len(ids):len(ids)], layer.DiffID)
	body, err := json.Marshal(config)
	must(t, err)
	m := ocispec.Manifest{MediaType: images.MediaTypeDockerSchema2Manifest, Config: ocispec.Descriptor{
		MediaType: images.MediaTypeDockerSchema2Config, Digest: digest.FromBytes(body), Size: int64(len(body)),
	}, Layers: append(stack.Layers[:len(stack.Layers):len(stack.Layers)], layer.Descriptor())}
	m.SchemaVersion = 2
	manifest, err := json.Marshal(m)
	must(t, err)
	owner, err := s.Link(t.Context(), image.ChainID(config.RootFS.DiffIDs), image.ChainID(ids), snapshot, layer.Labels())
	must(t, err)
	if owner != snapshot {
		t.Fatalf("the files belong to %s, want %s", owner, snapshot)
	}
	img, err := s.AddBuilt(t.Context(), image.Built{Config: body, Manifest: manifest, Kind: m.MediaType, Names: names})
	must(t, err)
	return img
}

// TestBuiltImage: what was built is an image of the session without a copy; it can be run, built on, saved and loaded, and
// keeps its files for as long as it is there.
func TestBuiltImage(t *testing.T) {
	h := newHost(t)
	h.busybox()
	s := open(t, h)
	ctx, release, err := s.Hold(t.Context())
	must(t, err)
	stack, err := s.Stack(ctx, "busybox")
	must(t, err)
	if !stack.OnHost || len(stack.Layers) != 1 {
		t.Fatalf("%+v", stack)
	}
	ids := builtOn(t, s, stack, "built", func(dir string) {
		writeFile(t, filepath.Join(dir, "new"), "new")
		must(t, os.RemoveAll(filepath.Join(dir, "usr/share/doc")))
		writeFile(t, filepath.Join(dir, "usr/share/doc/c"), "c")
	})
	img := finish(t, s, stack, "built", ids, "made:1")
	release()
	if _, _, err := s.Prune(t.Context(), image.PruneOptions{}); err != nil { // and a collection with it
		t.Fatal(err)
	}
	want := map[string]string{"bin/sh": "#!", "etc/passwd": "root", "new": "new", "usr/share/doc/c": "c"}
	if got := tree(t, mounted(t, s, "one", img.ID)); !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	dirs, let, err := s.LayerDirs(t.Context(), img)
	must(t, err)
	if b, err := os.ReadFile(filepath.Join(dirs[len(dirs)-1], "new")); err != nil || string(b) != "new" || len(dirs) != 2 {
		t.Errorf("the layer's own files in %q: %q, %v", dirs, b, err)
	}
	let()
	owners, err := s.Owners(t.Context())
	must(t, err)
	if !owners["built"] {
		t.Errorf("nobody knows that the image needs what was built: %v", owners)
	}
	built, err := s.Stack(t.Context(), "made:1")
	must(t, err)
	top := built.Layers[len(built.Layers)-1]
	info, err := s.Elsewhere(t.Context(), top.Digest)
	must(t, err)
	r, err := s.Blobs().ReaderAt(t.Context(), top)
	must(t, err)
	tarred, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	must(t, err)
	must(t, r.Close())
	if info.Size != int64(len(tarred)) || digest.FromBytes(tarred) != top.Digest {
		t.Errorf("%d bytes of %s, told were %d", len(tarred), digest.FromBytes(tarred), info.Size)
	}
}

// TestSavedBuiltImage: the blob of a layer that was built is made when it is needed.
func TestSavedBuiltImage(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	empty, err := s.Import(t.Context(), bytes.NewReader(make([]byte, 1024)), image.ImportOptions{Repo: "empty"})
	must(t, err)
	stack, err := s.Stack(t.Context(), empty.ID)
	must(t, err)
	ids := builtOn(t, s, stack, "built", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "saved") })
	img := finish(t, s, stack, "built", ids, "made:1")
	var archive bytes.Buffer
	must(t, s.Save(t.Context(), []string{"made:1"}, &archive))
	other := open(t, h)
	loaded, err := other.Load(t.Context(), &archive, nil)
	must(t, err)
	if len(loaded) != 1 || loaded[0].ID != img.ID {
		t.Fatalf("loaded %+v, want %s", loaded, img.ID)
	}
	if got := tree(t, mounted(t, other, "one", img.ID)); got["f"] != "saved" {
		t.Errorf("files %q", got)
	}
}
