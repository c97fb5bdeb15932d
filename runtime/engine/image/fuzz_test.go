package image_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// Whatever the instructions are, they are applied or refused, and the config can be written.
func FuzzInstructions(f *testing.F) {
	for _, s := range []string{"CMD a", `ENV A="x y" B=$A`, "EXPOSE 1-3/udp", "HEALTHCHECK --interval=1s CMD x", `VOLUME ["a"]`, "LABEL 'a b'=c\\", "ENV ${", "ENV a=${}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := image.ApplyChanges(dockerspec.DockerOCIImageConfig{}, []string{s})
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// Whatever an archive is, it is read or refused.
func FuzzArchive(f *testing.F) {
	f.Add(tarOf(f, entry{name: "manifest.json", text: `[{"Config":"c","RepoTags":["a:b"],"Layers":["l"]}]`}, entry{name: "c", text: "{}"}))
	f.Add(tarOf(f, entry{name: "index.json", text: `{"manifests":[{"digest":"sha256:` + strings.Repeat("a", 64) + `"}]}`}))
	f.Add(tarOf(f, entry{name: "manifest.json", link: "manifest.json", kind: '2'}))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := image.ReadArchive(t, b); err != nil && !errdefs.IsInvalidArgument(err) && !errdefs.IsNotFound(err) {
			t.Errorf("%d images, %v", n, err)
		}
		_ = image.Decompressed(b)
	})
}
