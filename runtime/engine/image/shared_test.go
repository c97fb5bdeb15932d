package image_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/image"
	"berth/runtime/imagecache/catalogue"
)

// archived makes a layer of the host from a tar, with the archive that it came as.
func (h *host) archived(t *testing.T, plain []byte) digest.Digest {
	t.Helper()
	id := digest.FromBytes(plain)
	dir := filepath.Join(h.layers, id.Encoded())
	must(t, os.MkdirAll(dir, 0o755))
	cmd := exec.CommandContext(t.Context(), "tar", "-C", dir, "-xf", "-")
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	packed := gzipped(t, plain)
	writeFile(t, filepath.Join(h.catalogue, catalogue.LayersDir, id.Encoded()), string(packed))
	h.index.Layers[id.String()] = catalogue.Tree{Size: int64(len(plain)), Archive: &catalogue.Archive{
		Digest: digest.FromBytes(packed).String(), Size: int64(len(packed)),
	}}
	return id
}

// An image that stands on a layer of the host is saved and pushed whole, also when the host offers the layer no more.
func TestSaveAndPushOnTheHostsLayers(t *testing.T) {
	h, reg := newHost(t), newRegistry(t)
	s, other := open(t, h), open(t, newHost(t))
	id := h.image("docker.io/library/base:latest", h.archived(t, tarOf(t, entry{name: "etc/x", text: "x"})))
	dir := mounted(t, s, "c", id)
	writeFile(t, filepath.Join(dir, "new"), "new")
	app, err := s.Commit(t.Context(), "c", image.CommitOptions{Repo: reg.host + "/app"})
	must(t, err)
	h.index.Layers, h.index.Images, h.index.Names = nil, nil, nil // removed on the host; the files stay for us
	h.publish()
	var saved bytes.Buffer
	must(t, s.Save(t.Context(), []string{app.ID, id}, &saved))
	loaded, err := other.Load(t.Context(), &saved, nil)
	if err != nil || len(loaded) != 2 || loaded[0].ID != app.ID || loaded[1].ID != id {
		t.Fatalf("%+v, %v", loaded, err)
	}
	must(t, s.Push(t.Context(), reg.host+"/app", image.PushOptions{}))
	third := open(t, newHost(t))
	must(t, third.Pull(t.Context(), reg.host+"/app", image.PullOptions{}))
	for name, o := range map[string]*image.Store{"loaded": other, "pulled": third} {
		if got := tree(t, mounted(t, o, name, app.ID)); len(got) != 2 || got["etc/x"] != "x" || got["new"] != "new" {
			t.Errorf("%s: %v", name, got)
		}
	}
}
