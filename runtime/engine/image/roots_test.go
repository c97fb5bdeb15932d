package image_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image"
)

// An image of the host is there without a copy, and `docker images` has it once it is used.
func TestHostImage(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	if _, err := s.Get(t.Context(), "busybox"); !errdefs.IsNotFound(err) || err.Error() != "No such image: busybox:latest" {
		t.Fatal(err)
	}
	id := h.busybox() // after the store was opened
	for _, ref := range []string{"busybox", "busybox:latest", "docker.io/library/busybox", id, id[7:19]} {
		img, err := s.Get(t.Context(), ref)
		if err != nil || img.ID != id || len(img.Names) != 1 || img.Names[0] != "busybox:latest" || img.Size != 8 {
			t.Errorf("%s: %+v, %v", ref, img, err)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("before it is used: %v, %v", list, err)
	}
	dir := mounted(t, s, "c1", id)
	if got := tree(t, dir); got["bin/sh"] != "#!" || len(got) != 4 {
		t.Errorf("the root holds %v", got)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Size != 8 || list[0].Shared {
		t.Errorf("after: %+v, %v", list, err)
	}
	used, err := s.DiskUsage(t.Context())
	if err != nil || used > 64<<10 {
		t.Errorf("an image of the host takes %d bytes of the session's disk, %v", used, err)
	}
	writeFile(t, filepath.Join(dir, "new"), "mine")
	if got := tree(t, filepath.Join(h.layers)); len(got) != 4 {
		t.Errorf("the host's layers hold %v", got)
	}
}

func TestChanges(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	dir := mounted(t, s, "c1", h.busybox())
	if got := changesOf(t, s, "c1"); got != "" {
		t.Errorf("a fresh container differs:\n%s", got)
	}
	in := func(p string) string { return filepath.Join(dir, p) }
	writeFile(t, in("etc/passwd"), "changed")
	writeFile(t, in("opt/app/x"), "x")
	must(t, os.Remove(in("usr/share/doc/a")))
	must(t, os.RemoveAll(in("bin")))
	must(t, os.Mkdir(in("bin"), 0o755)) // opaque now
	writeFile(t, in("bin/ls"), "ls")
	want := `C /bin
A /bin/ls
D /bin/sh
C /etc
C /etc/passwd
A /opt
A /opt/app
A /opt/app/x
C /usr
C /usr/share
C /usr/share/doc
D /usr/share/doc/a
`
	if got := changesOf(t, s, "c1"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	rw, root, err := s.RootUsage(t.Context(), "c1")
	if err != nil || rw <= 0 || root != rw+8 {
		t.Errorf("usage %d, %d, %v", rw, root, err)
	}
}

// What a container has, an image that is committed of it has; also hard links, owners, modes and what was removed.
func TestCommit(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	base := h.busybox()
	dir := mounted(t, s, "c1", base)
	in := func(p string) string { return filepath.Join(dir, p) }
	must(t, os.RemoveAll(in("usr/share/doc")))
	must(t, os.Remove(in("etc/passwd")))
	writeFile(t, in("srv/data"), "data")
	must(t, os.Link(in("srv/data"), in("srv/link")))
	must(t, os.Symlink("/srv/data", in("srv/symlink")))
	must(t, os.Chown(in("srv/data"), 1000, 33))
	must(t, unix.Chmod(in("srv/data"), 0o4711))
	must(t, unix.Mkfifo(in("srv/fifo"), 0o600))
	must(t, os.Remove(in("srv/fifo")))
	writeFile(t, in("bin/sh"), "sh2")
	img, err := s.Commit(t.Context(), "c1", image.CommitOptions{
		Repo: "mine/app", Tag: "v1", Author: "me", Comment: "note", Container: "c1",
		Config: &dockerspec.DockerOCIImageConfig{}, Changes: []string{`CMD ["run"]`, "ENV A=1 B=\"two words\"", "EXPOSE 80"},
	})
	must(t, err)
	if img.Names[0] != "mine/app:v1" || img.Parent != base || len(img.Layers) != 2 || img.Config.Author != "me" {
		t.Errorf("%+v", img)
	}
	c := img.Config.Config
	if fmt.Sprint(c.Cmd, c.Env, c.ExposedPorts) != "[run] [PATH=/bin A=1 B=two words] map[80/tcp:{}]" {
		t.Errorf("config %+v", c)
	}
	again := mounted(t, s, "c2", img.ID)
	if got, want := tree(t, again), tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("got %v want %v", got, want)
	}
	var st, st2 unix.Stat_t
	must(t, unix.Stat(filepath.Join(again, "srv/data"), &st))
	must(t, unix.Stat(filepath.Join(again, "srv/link"), &st2))
	if st.Uid != 1000 || st.Gid != 33 || st.Mode&0o7777 != 0o4711 || st.Ino != st2.Ino {
		t.Errorf("%+v", st)
	}
	if got := changesOf(t, s, "c2"); got != "" {
		t.Errorf("a container of the commit differs:\n%s", got)
	}
	history, err := s.History(t.Context(), "mine/app:v1")
	if err != nil || len(history) != 2 || history[0].Comment != "note" || history[0].ID != img.ID || history[0].Tags[0] != "mine/app:v1" {
		t.Errorf("%+v, %v", history, err)
	}
}

// A container that has changed nothing makes an image without a new layer.
func TestCommitOfNothing(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	base := h.busybox()
	must(t, s.NewRoot(t.Context(), "c", base))
	img, err := s.Commit(t.Context(), "c", image.CommitOptions{Repo: "same", Changes: []string{"CMD other"}})
	must(t, err)
	if len(img.Layers) != 1 || img.ID == base || len(img.Config.History) != 1 || !img.Config.History[0].EmptyLayer {
		t.Errorf("%+v", img)
	}
	if got := tree(t, mounted(t, s, "again", img.ID)); len(got) != 4 {
		t.Errorf("%v", got)
	}
}

// Docker's most layers fit into one mount, and a layer that an image has twice does too.
func TestManyLayers(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	var layers []digest.Digest
	for i := range 127 {
		layers = append(layers, h.layer(map[string]string{fmt.Sprintf("f%d", i): "x", "top": fmt.Sprint(i)}))
	}
	layers[60] = layers[90]
	dir := mounted(t, s, "c", h.image("docker.io/library/deep:latest", layers...))
	if got := tree(t, dir); got["top"] != "126" || len(got) != 127 {
		t.Errorf("%d files, top %q", len(got), got["top"])
	}
}

func TestRemoveRoot(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	id := h.busybox()
	must(t, s.NewRoot(t.Context(), "c1", id))
	if err := s.NewRoot(t.Context(), "c1", id); !errdefs.IsAlreadyExists(err) {
		t.Errorf("twice: %v", err)
	}
	must(t, s.RemoveRoot(t.Context(), "c1"))
	must(t, s.RemoveRoot(t.Context(), "c1"))
	if _, err := s.Changes(t.Context(), "c1"); !errdefs.IsNotFound(err) {
		t.Errorf("changes of a root that is gone: %v", err)
	}
	must(t, s.UnmountRoot(t.Context(), "c1", "/nowhere"))
	if err := s.NewRoot(t.Context(), "c2", "sha256:"+fmt.Sprintf("%064d", 1)); !errdefs.IsNotFound(err) {
		t.Errorf("of no image: %v", err)
	}
}
