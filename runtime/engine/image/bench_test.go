package image_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"berth/runtime/engine/image"
)

// BenchmarkRoot is what a container costs here: its layer made, mounted, unmounted and removed.
func BenchmarkRoot(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	h := newHost(b)
	s := open(b, h)
	id := h.busybox()
	dir := filepath.Join(b.TempDir(), "rootfs")
	for i := range b.N {
		key := fmt.Sprint(i)
		must(b, s.NewRoot(b.Context(), key, id))
		must(b, s.MountRoot(b.Context(), key, dir))
		must(b, s.UnmountRoot(b.Context(), key, dir))
		must(b, s.RemoveRoot(b.Context(), key))
	}
}

// BenchmarkOpen is what the first command of a session waits for.
func BenchmarkOpen(b *testing.B) {
	h := newHost(b)
	for range b.N {
		s, err := image.Open(b.Context(), image.Options{Dir: b.TempDir(), SharedLayers: h.layers, Catalogue: h.catalogue})
		must(b, err)
		must(b, s.Close())
	}
}

func BenchmarkGet(b *testing.B) {
	h := newHost(b)
	s := open(b, h)
	must(b, s.NewRoot(b.Context(), "c", h.busybox()))
	for range b.N {
		_, err := s.Get(b.Context(), "busybox")
		must(b, err)
	}
}
