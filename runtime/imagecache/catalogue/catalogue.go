// Package catalogue is what a sandbox may know of the host's image cache: which images and layers it holds, under which
// names. The cache writes it into a directory of its own, which sandboxes see read-only and live; who uses the cache, what
// is being written to it and what is being deleted is not in it.
//
//	DIR/index.json   Index; replaced as a whole
//	DIR/blobs/HEX    configs and manifests, by their digests
//	DIR/layers/HEX   layers as archives, by their diff-ids: what is saved and pushed
//
// The trees of the layers are mounted elsewhere, each in a directory named after the hex digits of its diff-id.
package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Names below the directory.
const (
	IndexFile = "index.json"
	BlobsDir  = "blobs"
	LayersDir = "layers"
)

// Version is the version of Index that is written. Readers take any: fields are only ever added.
const Version = 1

// Index is the contents of index.json.
type Index struct {
	Version int               `json:"version"`
	Names   map[string]string `json:"names"`   // full reference ("docker.io/library/debian:latest") → image ID
	Images  map[string]Image  `json:"images"`  // by ID, the digest of the config: "sha256:…"
	Layers  map[string]Tree   `json:"layers"`  // by diff-id; a layer that is not here may go any time
	Digests map[string]string `json:"digests"` // digest of a layer as a registry has it → diff-id
}

// Image is one image.
type Image struct {
	Manifest string  `json:"manifest,omitempty"` // digest; empty where the cache has none
	Layers   []Layer `json:"layers"`             // lowest first
}

// Layer is one layer of an image.
type Layer struct {
	DiffID string `json:"diff_id"`
	Digest string `json:"digest,omitempty"` // as it came, compressed or not
}

// Tree is a layer that the cache has unpacked.
type Tree struct {
	Size    int64    `json:"size"`              // bytes of its files
	Archive *Archive `json:"archive,omitempty"` // nil where an older cache did not keep it
}

// Archive is a layer as a compressed tar.
type Archive struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`           // bytes
	Zstd   bool   `json:"zstd,omitempty"` // otherwise gzip
}

// Reader reads a catalogue. It is safe for concurrent use.
type Reader struct {
	dir string

	mu   sync.Mutex
	seen os.FileInfo
	last *Index
}

// NewReader returns a reader of the catalogue in dir. Where dir is empty or holds none, the catalogue is empty.
func NewReader(dir string) *Reader { return &Reader{dir: dir} }

// Index returns the catalogue as it is now. The caller does not change it.
func (r *Reader) Index() (*Index, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == "" {
		return &Index{}, nil
	}
	path := filepath.Join(r.dir, IndexFile)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return &Index{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's catalogue of images: %w", err)
	}
	if r.seen != nil && os.SameFile(r.seen, info) && r.seen.ModTime().Equal(info.ModTime()) && r.seen.Size() == info.Size() {
		return r.last, nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the host's catalogue of images: %w", err)
	}
	x := &Index{}
	if err := json.Unmarshal(body, x); err != nil {
		return nil, fmt.Errorf("read the host's catalogue of images: %w", err)
	}
	r.seen, r.last = info, x
	return x, nil
}

// Blob returns a config or a manifest. The error wraps os.ErrNotExist where the image has gone meanwhile.
func (r *Reader) Blob(digest string) ([]byte, error) {
	return os.ReadFile(filepath.Join(r.dir, BlobsDir, Hex(digest)))
}

// ArchivePath is where the archive of a layer is.
func (r *Reader) ArchivePath(diffID string) string {
	return filepath.Join(r.dir, LayersDir, Hex(diffID))
}

// Hex is the name of the directory of a layer, or of the file of a blob.
func Hex(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
