package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Progress is told what is being done, as Docker's clients draw it. It may be called by several goroutines at once. nil
// is nobody.
type Progress func(jsonstream.Message)

func (p Progress) tell(m jsonstream.Message) {
	if p != nil {
		p(m)
	}
}

// layer tells what happens to a layer. The empty Progress makes terminals draw it in the layer's own line.
func (p Progress) layer(id, status string) {
	p.tell(jsonstream.Message{ID: id, Status: status, Progress: &jsonstream.Progress{}})
}

// Load brings in what `docker save` wrote, or an archive of an OCI layout, compressed or not.
func (s *Store) Load(ctx context.Context, r io.Reader, progress Progress) ([]Image, error) {
	archive, err := s.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer archive.Close() //nolint:errcheck // its file has no name any more
	found, err := archive.images()
	if err != nil {
		return nil, err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer s.collectSoon()
	defer release()
	var loaded []Image
	for _, e := range found {
		img, err := s.loadImage(ctx, archive, e, progress)
		if err != nil {
			return loaded, err
		}
		loaded = append(loaded, img)
		if len(e.names) == 0 {
			progress.tell(jsonstream.Message{Stream: fmt.Sprintf("Loaded image ID: %s\n", img.ID)})
		}
		for _, n := range e.names {
			progress.tell(jsonstream.Message{Stream: fmt.Sprintf("Loaded image: %s\n", familiar(n))})
		}
		s.tell(events.ActionLoad, img.ID, img.ID, img.Config)
	}
	return loaded, nil
}

func (s *Store) loadImage(ctx context.Context, archive *members, e exported, progress Progress) (Image, error) {
	config, err := parseConfig(e.config)
	if err != nil {
		return Image{}, err
	}
	ids := config.RootFS.DiffIDs
	if config.OS != "" && config.OS != "linux" {
		return Image{}, invalid("cannot load %s image on linux", config.OS)
	}
	if len(ids) != len(e.layers) {
		return Image{}, invalid("invalid manifest, layers length mismatch: expected %d, got %d", len(ids), len(e.layers))
	}
	m := newManifest(e.config)
	for i, l := range e.layers {
		open := func() (io.ReadCloser, error) {
			r, err := archive.open(l.path)
			if err != nil {
				return nil, err
			}
			return io.NopCloser(&counted{r: r, total: r.Size(), id: short(ids[i].String()), status: "Loading layer", tell: progress}), nil
		}
		desc, err := s.addLayer(ctx, ids[:i+1], l.exact, open)
		if err != nil {
			return Image{}, err
		}
		m.Layers = append(m.Layers, desc)
	}
	if err := s.tellRenamed(ctx, e, progress); err != nil {
		return Image{}, err
	}
	p := put{config: e.config, manifest: e.manifest, kind: e.kind, names: e.names}
	if p.manifest == nil {
		p.kind = m.MediaType
		if p.manifest, err = json.Marshal(m); err != nil {
			return Image{}, err
		}
	}
	return s.put(ctx, p)
}

// tellRenamed says which images lose their names to the one that comes.
func (s *Store) tellRenamed(ctx context.Context, e exported, progress Progress) error {
	all, err := s.records(ctx)
	if err != nil {
		return err
	}
	id := digest.FromBytes(e.config).String()
	for _, r := range all {
		for _, n := range r.names {
			if r.id != id && slices.Contains(e.names, n) {
				progress.tell(jsonstream.Message{Stream: fmt.Sprintf(
					"The image %s already exists, renaming the old one with ID %s to empty string\n", familiar(n), r.id)})
			}
		}
	}
	return nil
}

// counted tells how much of a stream has been read, a few times a second.
type counted struct {
	r           io.Reader
	id, status  string
	read, total int64
	told        time.Time
	tell        Progress
}

// progressPause is the least time between two messages about one layer.
const progressPause = 100 * time.Millisecond

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	if now := time.Now(); now.Sub(c.told) >= progressPause || err != nil {
		c.told = now
		c.tell.tell(jsonstream.Message{ID: c.id, Status: c.status, Progress: &jsonstream.Progress{Current: c.read, Total: c.total}})
	}
	return n, err
}

// ImportOptions describe the image that Import makes.
type ImportOptions struct {
	Repo, Tag string // none where Repo is empty
	Message   string
	Changes   []string // instructions of a Dockerfile
	Arch      string   // empty: this machine's
}

// Import makes an image of one layer from a root file system's tar, compressed or not.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (Image, error) {
	var names []string
	if o.Repo != "" {
		full, err := parseTag(o.Repo, o.Tag)
		if err != nil {
			return Image{}, err
		}
		names = append(names, full)
	}
	var config Config
	var err error
	if config.Config, err = applyChanges(config.Config, o.Changes); err != nil {
		return Image{}, err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return Image{}, err
	}
	defer s.collectSoon()
	defer release()
	plain, err := decompress(cancelled{ctx, r})
	if err != nil {
		return Image{}, err
	}
	defer plain.Close()
	layer, diffID, err := s.compressLayer(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, plain)
		return err
	})
	if err != nil {
		return Image{}, err
	}
	if err := s.unpackBlob(ctx, layer, []digest.Digest{diffID}); err != nil {
		return Image{}, err
	}
	now := time.Now().UTC()
	config.Created, config.OS, config.Architecture, config.Comment = &now, "linux", goruntime.GOARCH, o.Message
	if o.Arch != "" {
		config.Architecture = o.Arch
	}
	config.RootFS.Type, config.RootFS.DiffIDs = "layers", []digest.Digest{diffID}
	config.History = []ocispec.History{{Created: &now, Comment: o.Message}}
	img, err := s.finish(ctx, config, "", []ocispec.Descriptor{layer}, names)
	if err == nil {
		s.tell(events.ActionImport, img.ID, img.ID, img.Config)
	}
	return img, err
}
