package imagecache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"berth/runtime/imagecache/catalogue"
)

// CatalogueDir is the directory of package catalogue, for sandboxes to mount read-only: what the cache holds, and nothing of
// who uses it.
func (c *Cache) CatalogueDir() string { return filepath.Join(c.dir, catalogueDir) }

// publish needs the lock. It writes the catalogue after the index: blobs first, then what names them, then what has gone.
func (c *Cache) publish(x *index) error {
	p := catalogue.Index{
		Version: catalogue.Version, Names: x.Names, Images: map[string]catalogue.Image{}, Layers: map[string]catalogue.Tree{},
		Digests: map[string]string{},
	}
	for id, l := range x.Layers {
		if _, doomed := x.Doomed[id]; !doomed {
			p.Layers[id] = catalogue.Tree{Size: l.Size, Archive: l.Archive}
		}
	}
	for digest, id := range x.Digests {
		if _, ok := p.Layers[id]; ok {
			p.Digests[digest] = id
		}
	}
	blobs := map[string]bool{}
	for id, rec := range x.Images {
		if x.firstName(id) == "" {
			continue // only a sandbox that has it mounted needs it still
		}
		img := catalogue.Image{Manifest: rec.Manifest}
		for _, l := range rec.Layers {
			img.Layers = append(img.Layers, catalogue.Layer(l))
		}
		p.Images[id] = img
		blobs[hexOf(id)], blobs[hexOf(rec.Manifest)] = true, rec.Manifest != ""
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := c.publishBlobs(blobs); err != nil {
		return fmt.Errorf("write the image cache's catalogue: %w", err)
	}
	if err := replaceFile(filepath.Join(c.CatalogueDir(), catalogue.IndexFile), body); err != nil {
		return fmt.Errorf("write the image cache's catalogue: %w", err)
	}
	return c.withdrawBlobs(blobs)
}

// publishBlobs links the blobs of named images into the catalogue.
func (c *Cache) publishBlobs(want map[string]bool) error {
	for name, wanted := range want {
		if !wanted {
			continue
		}
		err := os.Link(filepath.Join(c.dir, blobsDir, name), filepath.Join(c.CatalogueDir(), catalogue.BlobsDir, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

func (c *Cache) withdrawBlobs(keep map[string]bool) error {
	dir := filepath.Join(c.CatalogueDir(), catalogue.BlobsDir)
	blobs, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if !keep[b.Name()] {
			if err := os.Remove(filepath.Join(dir, b.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// openCatalogue makes the catalogue's directory, and the catalogue of a cache that is older than it.
func (c *Cache) openCatalogue() error {
	for _, sub := range []string{catalogue.BlobsDir, catalogue.LayersDir} {
		if err := os.MkdirAll(filepath.Join(c.CatalogueDir(), sub), 0o755); err != nil {
			return err
		}
	}
	_, err := os.Stat(filepath.Join(c.CatalogueDir(), catalogue.IndexFile))
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return c.locked(func() error {
		x, err := c.readIndex()
		if err != nil {
			return err
		}
		return c.publish(x)
	})
}
