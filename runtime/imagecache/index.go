package imagecache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/runtime/imagecache/catalogue"
)

const indexVersion = 1

// index is the contents of index.json.
type index struct {
	Version int                    `json:"version"`
	Names   map[string]string      `json:"names"`   // full reference → image id
	Images  map[string]imageRecord `json:"images"`  // by id
	Layers  map[string]layerRecord `json:"layers"`  // by diff-id: all that are complete in layers/
	Digests map[string]string      `json:"digests"` // digest as a registry has it → diff-id

	// Doomed are layers that no image has any more, with the leases that there were when the last one went: those
	// sandboxes may have the layer in use, for they saw the catalogue then. It goes when they are gone.
	Doomed map[string][]string `json:"doomed,omitempty"` // diff-id → leases
}

type imageRecord struct {
	Manifest string        `json:"manifest,omitempty"` // digest
	Layers   []layerOrigin `json:"layers"`             // lowest first
}

type layerOrigin struct {
	DiffID string `json:"diff_id"`
	Digest string `json:"digest,omitempty"`
}

type layerRecord struct {
	Size    int64    `json:"size"`            // bytes of its files
	Entries int64    `json:"entries"`         // of its tar
	Notes   []string `json:"notes,omitempty"` // what was left out

	Archive *catalogue.Archive `json:"archive,omitempty"` // nil where an older berth did not keep it
}

func newIndex() *index {
	return &index{
		Version: indexVersion,
		Names:   map[string]string{},
		Images:  map[string]imageRecord{},
		Layers:  map[string]layerRecord{},
		Digests: map[string]string{},
		Doomed:  map[string][]string{},
	}
}

// readIndex needs no lock: the file is replaced as a whole.
func (c *Cache) readIndex() (*index, error) {
	path := filepath.Join(c.dir, indexFile)
	body, err := os.ReadFile(path)
	x := newIndex()
	if errors.Is(err, os.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image cache: %w", err)
	}
	if err := json.Unmarshal(body, x); err != nil {
		return nil, fmt.Errorf("the image cache's %s is damaged: %w: remove the directory and import the images again", path, err)
	}
	if x.Version != indexVersion {
		return nil, fmt.Errorf("%s has version %d, this berth knows %d: use the newer berth, or another data directory", path, x.Version, indexVersion)
	}
	return x, nil
}

// writeIndex needs the lock.
func (c *Cache) writeIndex(x *index) error {
	body, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(c.dir, indexFile), body); err != nil {
		return fmt.Errorf("write the image cache's index: %w", err)
	}
	return c.publish(x)
}

// replaceFile writes a file that is either the old or the new one, whatever happens, on the disk as well.
func replaceFile(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var idPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)

// byID finds an image by its id or the beginning of it, if there is exactly one.
func (x *index) byID(ref string) (string, bool) {
	if !idPattern.MatchString(ref) {
		return "", false
	}
	prefix := "sha256:" + strings.TrimPrefix(ref, "sha256:")
	found := ""
	for id := range x.Images {
		if strings.HasPrefix(id, prefix) {
			if found != "" {
				return "", false
			}
			found = id
		}
	}
	return found, found != ""
}

// namesOf returns the names of an image, sorted.
func (x *index) namesOf(id string) []string {
	var names []string
	for name, of := range x.Names {
		if of == id {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (x *index) firstName(id string) string {
	if names := x.namesOf(id); len(names) > 0 {
		return names[0]
	}
	return ""
}
