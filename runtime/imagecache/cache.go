package imagecache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/runtime/imagecache/unpack"
)

// ErrNotFound is wrapped by the errors about images that the cache does not have.
var ErrNotFound = errors.New("image not found")

// Names below the cache's directory.
const (
	lockFile   = "lock"
	indexFile  = "index.json"
	layersDir  = "layers"
	blobsDir   = "blobs"
	leasesDir  = "leases"
	stagingDir = "staging"
	trashDir   = "trash"

	catalogueDir = "catalogue"
)

// Cache is one cache directory. It holds no state of its own: any number of Caches, in any number of processes, may work
// on one directory at a time.
type Cache struct {
	dir    string
	unpack unpack.Options
}

// Option changes a Cache.
type Option func(*Cache)

// WithUnpack sets how layers are unpacked: budgets, ids, the command of the child.
func WithUnpack(o unpack.Options) Option { return func(c *Cache) { c.unpack = o } }

// Open returns the cache in dir, which is made where it is missing. To write to it, a process must be root.
func Open(dir string, options ...Option) (*Cache, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &Cache{dir: dir}
	for _, o := range options {
		o(c)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the image cache: %w", err)
	}
	for _, sub := range []string{blobsDir, leasesDir, stagingDir, trashDir, layersDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("open the image cache: %w", err)
		}
	}
	// layers is the root of the mount that sandboxes see: their users must be able to pass through it.
	if err := os.Chmod(filepath.Join(dir, layersDir), 0o755); err != nil {
		return nil, fmt.Errorf("open the image cache: %w", err)
	}
	if err := c.openCatalogue(); err != nil {
		return nil, fmt.Errorf("open the image cache: %w", err)
	}
	return c, nil
}

// LayersDir is the directory that holds the trees of all layers.
func (c *Cache) LayersDir() string { return filepath.Join(c.dir, layersDir) }

// Resolve finds an image by a reference as Docker writes it ("debian" is docker.io/library/debian:latest), or by its ID
// or the beginning of that (12 digits or more). The error wraps ErrNotFound where there is none.
func (c *Cache) Resolve(ref string) (Image, error) {
	return steady(c, func(x *index) (Image, error) { return c.resolve(x, ref) })
}

// readAttempts: a reader has no lock, so that an image may go between its reading the index and the config. The next index
// does not have the image.
const readAttempts = 3

func steady[T any](c *Cache, read func(*index) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		x, err := c.readIndex()
		if err != nil {
			var none T
			return none, err
		}
		result, err := read(x)
		if attempt == readAttempts || !errors.Is(err, os.ErrNotExist) {
			return result, err
		}
	}
}

func (c *Cache) resolve(x *index, ref string) (Image, error) {
	name, nameErr := normalise(ref)
	if nameErr == nil {
		if id, ok := x.Names[name]; ok {
			return c.image(x, id, name)
		}
	}
	if id, ok := x.byID(ref); ok {
		return c.image(x, id, x.firstName(id))
	}
	if nameErr != nil {
		return Image{}, nameErr
	}
	return Image{}, &notFoundError{familiar(name)}
}

// notFoundError says how to get what is missing.
type notFoundError struct{ name string }

func (e *notFoundError) Error() string {
	return fmt.Sprintf("image %q is not in the cache: get it with `berth image pull %s`, or `berth image import` a file", e.name, e.name)
}
func (e *notFoundError) Unwrap() error { return ErrNotFound }

// List returns all images, one for each name, sorted by name.
func (c *Cache) List() ([]Image, error) {
	return steady(c, c.list)
}

func (c *Cache) list(x *index) ([]Image, error) {
	var images []Image
	for name, id := range x.Names {
		img, err := c.image(x, id, name)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	slices.SortFunc(images, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return images, nil
}

// DiffID returns the diff-id of the layer that a registry knows by a (compressed) digest, if the cache has the layer.
func (c *Cache) DiffID(digest string) (string, bool) {
	x, err := c.readIndex()
	if err != nil {
		return "", false
	}
	diffID, ok := x.Digests[digest]
	if _, have := x.Layers[diffID]; !ok || !have {
		return "", false
	}
	return diffID, true
}
