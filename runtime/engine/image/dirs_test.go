package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/runtime/engine/image"
)

// TestLayerDirs finds the directories of layers that the host shares, that are the session's own, and that an image has twice.
func TestLayerDirs(t *testing.T) {
	h := newHost(t)
	s := open(t, h)
	a, b := h.layer(map[string]string{"a": "a"}), h.layer(map[string]string{"b": "b"})
	id := h.image("docker.io/library/twice:latest", a, b, a)
	check := func(ref string, want ...string) {
		t.Helper()
		img, err := s.Get(t.Context(), ref)
		must(t, err)
		dirs, release, err := s.LayerDirs(t.Context(), img)
		must(t, err)
		defer release()
		var got []string
		for _, d := range dirs {
			list, err := os.ReadDir(d)
			must(t, err)
			var names []string
			for _, e := range list {
				names = append(names, e.Name())
			}
			got = append(got, strings.Join(names, ","))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: the layers hold %q, want %q", ref, got, want)
		}
	}
	check("twice", "a", "b", "a") // only the host has it
	dir := mounted(t, s, "c1", id)
	check("twice", "a", "b", "a") // the session has it
	writeFile(t, filepath.Join(dir, "c"), "c")
	_, err := s.Commit(t.Context(), "c1", image.CommitOptions{Repo: "mine", Tag: "latest"})
	must(t, err)
	check("mine", "a", "b", "a", "c")
	again := mounted(t, s, "c2", must1(s.Get(t.Context(), "mine")).ID)
	writeFile(t, filepath.Join(again, "d"), "d")
	_, err = s.Commit(t.Context(), "c2", image.CommitOptions{Repo: "more", Tag: "latest"})
	must(t, err)
	check("more", "a", "b", "a", "c", "d")
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
