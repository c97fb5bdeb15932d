package imagecache

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image of the cache.
type Image struct {
	Name    string              `json:"name"`             // as Docker shows it: "debian:latest"
	ID      string              `json:"id"`               // digest of the config: "sha256:…"
	Digest  string              `json:"digest,omitempty"` // digest of the manifest, where there was one
	Layers  []Layer             `json:"layers"`           // lowest first
	Config  ocispec.ImageConfig `json:"config"`
	Created time.Time           `json:"created,omitzero"`
	Size    int64               `json:"size"` // bytes of the files of all layers
}

// Layer is one layer of an image.
type Layer struct {
	DiffID string `json:"diff_id"`          // digest of the uncompressed tar
	Digest string `json:"digest,omitempty"` // digest as it came, compressed or not
	Size   int64  `json:"size"`             // bytes of its files
}

// LayerDirs returns the directories of the layers, relative to the cache's LayersDir, lowest first (overlay's lowerdir
// wants the highest first). A layer that an image has twice is there once, in its highest place, where it hides all that
// the lower one would show: overlay refuses the same directory twice.
func (i Image) LayerDirs() []string {
	var dirs []string
	seen := map[string]bool{}
	for _, l := range slices.Backward(i.Layers) {
		if !seen[l.DiffID] {
			seen[l.DiffID] = true
			dirs = append(dirs, hexOf(l.DiffID))
		}
	}
	slices.Reverse(dirs)
	return dirs
}

// image makes an Image from its record and its config.
func (c *Cache) image(x *index, id, fullName string) (Image, error) {
	rec, ok := x.Images[id]
	if !ok {
		return Image{}, fmt.Errorf("the image cache %s is damaged: no record of %s: import it again", c.dir, id)
	}
	body, err := os.ReadFile(c.blobPath(id))
	if err != nil {
		return Image{}, fmt.Errorf("the image cache is damaged: %w: import the image again", err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(body, &config); err != nil {
		return Image{}, fmt.Errorf("config %s: %w", id, err)
	}
	img := Image{Name: familiar(fullName), ID: id, Digest: rec.Manifest, Config: config.Config}
	if config.Created != nil {
		img.Created = *config.Created
	}
	for _, l := range rec.Layers {
		size := x.Layers[l.DiffID].Size
		img.Layers = append(img.Layers, Layer{DiffID: l.DiffID, Digest: l.Digest, Size: size})
		img.Size += size
	}
	return img, nil
}

func (c *Cache) blobPath(digest string) string { return filepath.Join(c.dir, blobsDir, hexOf(digest)) }

func (c *Cache) layerPath(diffID string) string { return filepath.Join(c.LayersDir(), hexOf(diffID)) }

// hexOf is for digests that are known to be well formed.
func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

const dockerHub = "index.docker.io/"

// normalise returns the full form of a reference: "debian" → "docker.io/library/debian:latest".
func normalise(ref string) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("%q is not an image reference: write NAME, NAME:TAG or HOST/NAME:TAG in lower case", ref)
	}
	full := r.Name()
	if rest, ok := strings.CutPrefix(full, dockerHub); ok {
		return "docker.io/" + rest, nil
	}
	return full, nil
}

// familiar is the short form of a full reference, as Docker shows it.
func familiar(full string) string {
	if rest, ok := strings.CutPrefix(full, "docker.io/library/"); ok {
		return rest
	}
	return strings.TrimPrefix(full, "docker.io/")
}
