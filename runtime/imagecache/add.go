package imagecache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"berth/runtime/imagecache/catalogue"
	"berth/runtime/imagecache/unpack"
)

const (
	parallelLayers = 3   // fetched and unpacked at a time, of one image
	maxLayers      = 500 // overlay's own limit (OVL_MAX_STACK, fs/overlayfs/params.h)
	shortID        = 12  // digits of an ID as Docker shows it
)

// Progress is told, line by line, what is being done. It may be called from several goroutines at once.
type Progress func(line string)

// incoming is an image on its way into the cache.
type incoming struct {
	names    []string // full references; at least one
	config   []byte
	manifest []byte // nil where the source has none
	layers   []incomingLayer
}

// incomingLayer is one layer of it.
type incomingLayer struct {
	diffID string
	digest string // as the manifest has it; empty where there is none
	size   int64  // compressed bytes, for progress
	open   func(ctx context.Context) (io.ReadCloser, error)
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// check makes sure that config and layers belong together and can run here, and gives each layer its diff-id.
func (in *incoming) check() error {
	var config v1.ConfigFile
	if err := json.Unmarshal(in.config, &config); err != nil {
		return fmt.Errorf("the image's config is damaged: %w", err)
	}
	if config.OS != "" && config.OS != "linux" || config.Architecture != "" && config.Architecture != goruntime.GOARCH {
		return fmt.Errorf("the image is for %q, and this host is \"linux/%s\": get the image for this platform",
			config.OS+"/"+config.Architecture, goruntime.GOARCH)
	}
	ids := config.RootFS.DiffIDs
	switch {
	case len(ids) != len(in.layers):
		return fmt.Errorf("the image has %d layers, but its config speaks of %d", len(in.layers), len(ids))
	case len(ids) == 0:
		return errors.New("the image has no layers, so there is nothing to start")
	case len(ids) > maxLayers:
		return fmt.Errorf("the image has %d layers, and overlay mounts at most %d: build it with fewer", len(ids), maxLayers)
	}
	for i, id := range ids {
		if !digestPattern.MatchString(id.String()) {
			return fmt.Errorf("the image's config names layer %d %q, which is not a sha256 digest", i+1, id)
		}
		in.layers[i].diffID = id.String()
	}
	return nil
}

// add brings an image into the cache: the layers that it lacks, then config and manifest, then the names.
func (c *Cache) add(ctx context.Context, s *staging, in incoming, tell Progress) (Image, error) {
	if err := in.check(); err != nil {
		return Image{}, err
	}
	var want []string
	for _, l := range in.layers {
		want = append(want, l.diffID)
	}
	have, err := s.hold(want)
	if err != nil {
		return Image{}, err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for i, l := range in.layers {
		label := fmt.Sprintf("layer %d/%d %.*s", i+1, len(in.layers), shortID, hexOf(l.diffID))
		if have[l.diffID] {
			tell(label + ": already there")
			continue
		}
		have[l.diffID] = true // an image may have a layer twice
		group.Go(func() error {
			if err := c.fetch(within, s, l, label, tell); err != nil {
				return fmt.Errorf("%s: %w", label, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Image{}, err
	}
	return c.commitImage(in)
}

// unpackLayer unpacks a layer into the staging directory and commits it.
func (c *Cache) unpackLayer(ctx context.Context, s *staging, l incomingLayer) (_ unpack.Result, err error) {
	dir := s.path()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return unpack.Result{}, err
	}
	defer func() {
		if err != nil { // a second attempt must not need the room twice
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// Not by the umask: it is the root directory of what the sandbox sees.
	if err := os.Chmod(dir, 0o755); err != nil { // #nosec G302 -- behind DIR's 0700
		return unpack.Result{}, err
	}
	stream, err := l.open(ctx)
	if err != nil {
		return unpack.Result{}, err
	}
	archive := s.path()
	kept, err := newArchiver(archive, stream)
	if err != nil {
		return unpack.Result{}, errors.Join(err, stream.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(archive))
		}
	}()
	r, err := unpack.Layer(ctx, dir, archivedStream{kept, stream}, c.unpack)
	description, keptErr := kept.finish()
	if err := errors.Join(err, keptErr); err != nil {
		return r, err
	}
	if l.digest != "" && r.Digest != l.digest {
		return r, fmt.Errorf("the content is not what the manifest promises (%s, not %s): it was damaged or exchanged on its way", r.Digest, l.digest)
	}
	if l.diffID != "" && r.DiffID != l.diffID {
		return r, fmt.Errorf("the content is not what the image's config promises (%s, not %s): the image is damaged", r.DiffID, l.diffID)
	}
	if l.diffID == "" { // only now known, so not held yet
		if _, err := s.hold([]string{r.DiffID}); err != nil {
			return r, err
		}
	}
	return r, c.commitLayer(dir, r, archive, description)
}

// archivedStream is a layer's stream on its way past an archiver.
type archivedStream struct {
	io.Reader
	io.Closer
}

// commitLayer moves an unpacked layer into place. It is on the disk before the index says so: a layer that a power cut
// has emptied would otherwise be trusted for ever.
func (c *Cache) commitLayer(dir string, r unpack.Result, archive string, a *catalogue.Archive) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(d.Fd())), d.Close()); err != nil {
		return fmt.Errorf("write the layer to disk: %w", err)
	}
	return c.locked(func() error {
		x, err := c.readIndex()
		if err != nil {
			return err
		}
		if r.Digest != r.DiffID {
			x.Digests[r.Digest] = r.DiffID
		}
		if _, ok := x.Layers[r.DiffID]; ok {
			return c.writeIndex(x) // another writer was faster; ours goes with the staging directory
		}
		if err := os.Rename(dir, c.layerPath(r.DiffID)); err != nil {
			return err
		}
		if err := os.Rename(archive, c.archivePath(r.DiffID)); err != nil {
			return err
		}
		if err := syncDir(c.LayersDir()); err != nil {
			return err
		}
		x.Layers[r.DiffID] = layerRecord{Size: r.Bytes, Entries: r.Entries, Notes: r.Notes, Archive: a}
		x.Digests[a.Digest] = r.DiffID
		return c.writeIndex(x)
	})
}

// commitImage writes config, manifest and names; then what nobody needs any more goes (the image that had the name).
func (c *Cache) commitImage(in incoming) (Image, error) {
	id := digestOf(in.config)
	rec := imageRecord{}
	if in.manifest != nil {
		rec.Manifest = digestOf(in.manifest)
	}
	for _, l := range in.layers {
		rec.Layers = append(rec.Layers, layerOrigin{DiffID: l.diffID, Digest: l.digest})
	}
	var img Image
	err := c.locked(func() error {
		x, err := c.readIndex()
		if err != nil {
			return err
		}
		for _, l := range in.layers {
			if _, ok := x.Layers[l.diffID]; !ok {
				return fmt.Errorf("layer %s was removed meanwhile: try again", l.diffID)
			}
			if l.digest != "" {
				x.Digests[l.digest] = l.diffID
			}
		}
		for _, blob := range [][]byte{in.config, in.manifest} {
			if blob != nil {
				if err := replaceFile(filepath.Join(c.dir, blobsDir, hexOf(digestOf(blob))), blob); err != nil {
					return err
				}
			}
		}
		x.Images[id] = rec
		for _, n := range in.names {
			x.Names[n] = id
		}
		if _, err := c.collect(x); err != nil {
			return err
		}
		img, err = c.image(x, id, in.names[0])
		return err
	})
	return img, err
}
