package imagecache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

var leasePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Use resolves an image and keeps its layers, even when the image is removed, until Release is called with the same id.
// It is called before the layers are mounted. The lease is a symbolic link, made in one step, and survives both the
// process and the host. Use with an id that has a lease moves it to the image.
func (c *Cache) Use(id, ref string) (Image, error) {
	if !leasePattern.MatchString(id) {
		return Image{}, fmt.Errorf("use image %s: %q cannot name a lease", ref, id)
	}
	var img Image
	err := c.locked(func() error {
		var err error
		if img, err = c.Resolve(ref); err != nil {
			return err
		}
		path := filepath.Join(c.dir, leasesDir, id)
		fresh := path + ".new" // cannot be a lease's name in use: Leases leaves it out
		if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(img.ID, fresh); err != nil {
			return err
		}
		return os.Rename(fresh, path)
	})
	return img, err
}

// Release ends a lease. It is idempotent. Call it when no mount of the layers is left: what the lease alone has kept goes
// with the next change of the cache, or Prune.
func (c *Cache) Release(id string) error {
	if !leasePattern.MatchString(id) {
		return nil // Use never made it
	}
	err := os.Remove(filepath.Join(c.dir, leasesDir, id))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("release the image of %s: %w", id, err)
	}
	return nil
}

// Leases returns the ids that have a lease, with the ids of their images. A launcher releases at boot those that are not
// its sandboxes any more.
func (c *Cache) Leases() (map[string]string, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, leasesDir))
	if err != nil {
		return nil, fmt.Errorf("read the leases of images: %w", err)
	}
	leases := map[string]string{}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".new" {
			continue // Use was cut short: its caller never mounted
		}
		image, err := os.Readlink(filepath.Join(c.dir, leasesDir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // released meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read the leases of images: %w", err)
		}
		leases[e.Name()] = image
	}
	return leases, nil
}
