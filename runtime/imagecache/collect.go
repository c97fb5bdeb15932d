package imagecache

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Removed says what went.
type Removed struct {
	Names  []string `json:"names"`  // as Docker shows them
	Layers int      `json:"layers"` // removed
	Bytes  int64    `json:"bytes"`  // of their files
	Leased int      `json:"leased"` // layers that no image has any more, kept because a sandbox has them mounted
}

// Remove takes names off the cache, or with an ID all names of the image; and then all that nobody needs. If one of them
// is not there, nothing is removed.
func (c *Cache) Remove(refs ...string) (Removed, error) {
	return c.remove(func(x *index) ([]string, error) {
		var gone []string
		for _, ref := range refs {
			names, err := x.namesFor(ref)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				delete(x.Names, n)
				gone = append(gone, familiar(n))
			}
		}
		return gone, nil
	})
}

// Prune removes what nobody needs: layers of imports that failed, images that only an ended sandbox had.
func (c *Cache) Prune() (Removed, error) {
	return c.remove(func(*index) ([]string, error) { return nil, nil })
}

func (c *Cache) remove(change func(*index) ([]string, error)) (Removed, error) {
	var r Removed
	err := c.locked(func() error {
		if err := c.recover(); err != nil {
			return err
		}
		x, err := c.readIndex()
		if err != nil {
			return err
		}
		gone, err := change(x)
		if err != nil {
			return err
		}
		r, err = c.collect(x)
		r.Names = gone
		return err
	})
	c.emptyTrash()
	return r, err
}

// namesFor returns the full names that a reference stands for.
func (x *index) namesFor(ref string) ([]string, error) {
	name, err := normalise(ref)
	if _, ok := x.Names[name]; err == nil && ok {
		return []string{name}, nil
	}
	if id, ok := x.byID(ref); ok {
		return x.namesOf(id), nil
	}
	if err != nil {
		return nil, err
	}
	return nil, &notFoundError{familiar(name)}
}

// collect needs the lock. It drops from the index what neither a name, nor a lease, nor a living writer holds, writes it,
// and then discards the files: killed in between, recover finds files that the index does not know.
func (c *Cache) collect(x *index) (Removed, error) {
	leases, err := c.Leases()
	if err != nil {
		return Removed{}, err
	}
	writers, err := c.heldByWriters()
	if err != nil {
		return Removed{}, err
	}
	named, leased := map[string]bool{}, map[string]bool{}
	for _, id := range x.Names {
		named[id] = true
	}
	for _, id := range leases {
		leased[id] = true
	}
	usedByName, usedByLease, blobs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for id, rec := range x.Images {
		if !named[id] && !leased[id] {
			delete(x.Images, id)
			continue
		}
		blobs[hexOf(id)], blobs[hexOf(rec.Manifest)] = true, true
		for _, l := range rec.Layers {
			usedByLease[l.DiffID] = usedByLease[l.DiffID] || leased[id]
			usedByName[l.DiffID] = usedByName[l.DiffID] || named[id]
		}
	}
	var r Removed
	var gone []string
	for id, l := range x.Layers {
		switch {
		case usedByName[id] || writers[id]:
			delete(x.Doomed, id)
		case x.doom(id, leases) || usedByLease[id]:
			r.Leased++
		default:
			delete(x.Doomed, id)
			delete(x.Layers, id)
			gone = append(gone, c.layerPath(id))
			r.Layers, r.Bytes = r.Layers+1, r.Bytes+l.Size
		}
	}
	for digest, id := range x.Digests {
		if _, ok := x.Layers[id]; !ok {
			delete(x.Digests, digest)
		}
	}
	if err := c.writeIndex(x); err != nil {
		return Removed{}, err
	}
	return r, errors.Join(c.discardAll(gone), c.dropBlobs(blobs), c.removeArchives(x))
}

// doom notes who may have a layer in use that no image has any more, and reports whether any of them is left.
func (x *index) doom(layer string, leases map[string]string) bool {
	alive, known := x.Doomed[layer]
	if !known {
		alive = slices.Collect(maps.Keys(leases))
	}
	alive = slices.DeleteFunc(alive, func(lease string) bool { _, ok := leases[lease]; return !ok })
	slices.Sort(alive)
	x.Doomed[layer] = alive
	return len(alive) > 0
}

func (c *Cache) discardAll(paths []string) error {
	for _, p := range paths {
		if err := c.discard(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *Cache) dropBlobs(keep map[string]bool) error {
	blobs, err := os.ReadDir(filepath.Join(c.dir, blobsDir))
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if !keep[b.Name()] {
			if err := os.Remove(filepath.Join(c.dir, blobsDir, b.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
