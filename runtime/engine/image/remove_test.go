package image_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image"
)

func TestTagAndRemove(t *testing.T) {
	h := newHost(t)
	users := map[string][]image.User{}
	s := open(t, h, func(o *image.Options) { o.InUse = func(id string) []image.User { return users[id] } })
	id := h.busybox()
	must(t, s.Tag(t.Context(), "busybox", "localhost:5000/b", "v1"))
	must(t, s.Tag(t.Context(), id, "other", ""))
	for _, bad := range [][2]string{{"UPPER", ""}, {"a", "b c"}, {"a@sha256:" + strings.Repeat("a", 64), ""}} {
		if err := s.Tag(t.Context(), id, bad[0], bad[1]); !errdefs.IsInvalidArgument(err) {
			t.Errorf("tag %v: %v", bad, err)
		}
	}
	img, err := s.Get(t.Context(), "other")
	if err != nil || strings.Join(img.Names, " ") != "busybox:latest localhost:5000/b:v1 other:latest" {
		t.Errorf("%v, %v", img.Names, err)
	}
	if _, err := s.Remove(t.Context(), id, image.RemoveOptions{}); !errdefs.IsConflict(err) ||
		!strings.HasSuffix(err.Error(), "(must be forced) - image is referenced in multiple repositories") {
		t.Error(err)
	}
	done, err := s.Remove(t.Context(), "other", image.RemoveOptions{})
	if err != nil || len(done) != 1 || done[0].Untagged != "other:latest" {
		t.Errorf("%+v, %v", done, err)
	}
	_, err = s.Remove(t.Context(), "localhost:5000/b:v1", image.RemoveOptions{})
	must(t, err)
	users[id] = []image.User{{ID: strings.Repeat("c", 64)}}
	_, err = s.Remove(t.Context(), "busybox", image.RemoveOptions{})
	want := `conflict: unable to remove repository reference "busybox" (must force) - container cccccccccccc is using its referenced image ` + id[7:19]
	if !errdefs.IsConflict(err) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	users[id] = nil
	done, err = s.Remove(t.Context(), "busybox", image.RemoveOptions{})
	if err != nil || len(done) != 2 || done[0].Untagged != "busybox:latest" || done[1].Deleted != id {
		t.Errorf("%+v, %v", done, err)
	}
	// The host still has it; this session has removed it.
	if _, err := s.Get(t.Context(), "busybox"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if used, err := s.DiskUsage(t.Context()); err != nil || used != 0 {
		t.Errorf("%d bytes are left, %v", used, err)
	}
	if _, err := s.Remove(t.Context(), "busybox", image.RemoveOptions{}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	dir := mounted(t, s, "c1", h.busybox())
	writeFile(t, dir+"/big", strings.Repeat("x", 1<<20))
	first, err := s.Commit(t.Context(), "c1", image.CommitOptions{Repo: "app"})
	must(t, err)
	second, err := s.Commit(t.Context(), "c1", image.CommitOptions{Repo: "app"})
	must(t, err)
	if first.ID == second.ID {
		t.Fatal("two commits are one image")
	}
	done, freed, err := s.Prune(t.Context(), image.PruneOptions{})
	if err != nil || len(done) != 1 || done[0].Deleted != first.ID || freed <= 0 {
		t.Errorf("%+v, %d, %v", done, freed, err)
	}
	done, freed, err = s.Prune(t.Context(), image.PruneOptions{All: true})
	if err != nil || len(done) != 4 || freed < 1<<20 {
		t.Errorf("%+v, %d, %v", done, freed, err)
	}
}
