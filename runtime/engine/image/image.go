package image

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Config is an image's config, with what Docker adds to OCI's: healthcheck, onbuild, shell.
type Config struct {
	dockerspec.DockerOCIImage

	// What Docker writes on top; commit and import do.
	Container string `json:"container,omitempty"` // the container that it was committed from
	Comment   string `json:"comment,omitempty"`
}

// Image is one image of this platform.
type Image struct {
	ID      string          // "sha256:…": digest of the config
	Names   []string        // familiar ("busybox:latest"), sorted
	Digests []string        // familiar ("busybox@sha256:…"), sorted
	Config  Config          //
	Layers  []digest.Digest // diff-ids, lowest first
	Size    int64           // bytes of the files of all layers, shared ones too
	Created time.Time       // zero where the config does not say it
	Parent  string          // ID of the image that it was committed on; empty for one that was pulled or loaded
	Tagged  time.Time       // when it last got a name here; zero where it never did

	Manifest ocispec.Descriptor // zero where only the host's cache has the image
	Shared   bool               // only the host's catalogue has it: it is in no list until it is used
}

// Labels of the records of images.
const (
	labelID     = "berth.id"     // the image's ID; on every record
	labelBytes  = "berth.size"   // bytes of the files of all layers; on the image's own record
	labelParent = "berth.parent" // ID; on the image's own record
)

// ownRecord begins the name of an image's own record, which its ID follows. References always begin with a domain.
const ownRecord = "berth/image@"

// record is what the metadata say about one image.
type record struct {
	id             string
	target         ocispec.Descriptor // the manifest
	names, digests []string           // full
	size           int64
	parent         string
	created        time.Time // of the record
	tagged         time.Time
}

// records reads all of them, by ID.
func (s *Store) records(ctx context.Context) (map[string]*record, error) {
	list, err := s.images.List(scoped(ctx))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	all := map[string]*record{}
	for _, i := range list {
		if id, own := strings.CutPrefix(i.Name, ownRecord); own {
			size, _ := strconv.ParseInt(i.Labels[labelBytes], 10, 64) // ours
			all[id] = &record{id: id, target: i.Target, size: size, parent: i.Labels[labelParent], created: i.CreatedAt}
		}
	}
	for _, i := range list {
		r := all[i.Labels[labelID]]
		switch {
		case r == nil || strings.HasPrefix(i.Name, ownRecord):
		case strings.Contains(i.Name, "@"):
			r.digests = append(r.digests, i.Name)
		default:
			r.names = append(r.names, i.Name)
			if i.UpdatedAt.After(r.tagged) {
				r.tagged = i.UpdatedAt
			}
		}
	}
	return all, nil
}

// image completes a record with what the config says.
func (s *Store) image(ctx context.Context, r *record) (Image, error) {
	config, err := s.config(ctx, r.id)
	if err != nil {
		return Image{}, err
	}
	img := describe(r.id, config)
	img.Size, img.Parent, img.Tagged, img.Manifest = r.size, r.parent, r.tagged, r.target
	for _, n := range r.names {
		img.Names = append(img.Names, familiar(n))
	}
	for _, d := range r.digests {
		img.Digests = append(img.Digests, familiar(d))
	}
	slices.Sort(img.Names)
	slices.Sort(img.Digests)
	return img, nil
}

func describe(id string, config Config) Image {
	img := Image{ID: id, Config: config, Layers: config.RootFS.DiffIDs}
	if config.Created != nil {
		img.Created = *config.Created
	}
	return img
}

// config reads the config of an image that is in the store. Configs never change, so they are kept.
func (s *Store) config(ctx context.Context, id string) (Config, error) {
	s.mu.Lock()
	c, ok := s.configs[id]
	s.mu.Unlock()
	if ok {
		return c, nil
	}
	b, err := content.ReadBlob(scoped(ctx), s.content, ocispec.Descriptor{Digest: digest.Digest(id)})
	if err != nil {
		return c, fmt.Errorf("read the config of image %s: %w", id, err)
	}
	if c, err = parseConfig(b); err != nil {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configs[id] = c
	return c, nil
}

func (s *Store) forgetConfig(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.configs, id)
}

func parseConfig(b []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return c, invalid("invalid image config: %s", err)
	}
	for _, d := range c.RootFS.DiffIDs {
		if d.Validate() != nil {
			return c, invalid("invalid image config: %q is not a digest of a layer", d)
		}
	}
	return c, nil
}

// List returns the images of this session, newest first: those that were pulled, loaded, made or used in it. What only the
// host's catalogue holds is not among them: Available lists that.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	all, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Image, 0, len(all))
	for r := range maps.Values(all) {
		img, err := s.image(ctx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	newestFirst(list)
	return list, nil
}

func newestFirst(list []Image) {
	slices.SortFunc(list, func(a, b Image) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// Get finds an image by name, by name and digest, by ID or by the beginning of one. It also answers for what only the
// host's catalogue holds, unless its name was removed in this session.
func (s *Store) Get(ctx context.Context, ref string) (Image, error) {
	all, err := s.records(ctx)
	if err != nil {
		return Image{}, err
	}
	r, err := lookup(all, ref)
	if err != nil {
		return Image{}, err
	}
	if r != nil {
		return s.image(ctx, r)
	}
	img, ok, err := s.available(ref)
	if err != nil || ok {
		return img, err
	}
	return Image{}, noSuchImage(ref)
}

// lookup finds a reference among records, in Docker's order: whole IDs, names, beginnings of IDs.
func lookup(all map[string]*record, ref string) (*record, error) {
	if r := all[ref]; r != nil {
		return r, nil
	}
	if name, err := parseName(ref); err == nil {
		full := name.String()
		for _, r := range all {
			if slices.Contains(r.names, full) || slices.Contains(r.digests, full) {
				return r, nil
			}
		}
	}
	return byPrefix(all, ref)
}

// byPrefix finds the only image whose ID begins so.
func byPrefix[T any](all map[string]T, ref string) (found T, err error) {
	prefix := "sha256:" + strings.TrimPrefix(ref, "sha256:")
	if !idPattern.MatchString(prefix) {
		return found, nil
	}
	n := 0
	for id, r := range all {
		if strings.HasPrefix(id, prefix) {
			found, n = r, n+1
		}
	}
	if n > 1 {
		return found, notFound("ambiguous image ID: %s", ref)
	}
	return found, nil
}

// put writes config, manifest and records of an image whose layers are all there. The context holds what is written.
type put struct {
	config   []byte
	manifest []byte
	kind     string   // media type of the manifest
	parent   string   // ID
	names    []string // full references, with tag or digest
}

func (s *Store) put(ctx context.Context, p put) (Image, error) {
	config, err := parseConfig(p.config)
	if err != nil {
		return Image{}, err
	}
	id := digest.FromBytes(p.config)
	size, err := s.layersSize(ctx, config.RootFS.DiffIDs)
	if err != nil {
		return Image{}, err
	}
	labels := map[string]string{}
	if chain := chainID(config.RootFS.DiffIDs); chain != "" {
		labels["containerd.io/gc.ref.snapshot."+Snapshotter] = chain
	}
	if err := s.writeBlob(ctx, images.MediaTypeDockerSchema2Config, p.config, labels); err != nil {
		return Image{}, err
	}
	labels, err = references(p.manifest)
	if err != nil {
		return Image{}, err
	}
	if err := s.writeBlob(ctx, p.kind, p.manifest, labels); err != nil {
		return Image{}, err
	}
	target := ocispec.Descriptor{MediaType: p.kind, Digest: digest.FromBytes(p.manifest), Size: int64(len(p.manifest))}
	s.change.Lock()
	defer s.change.Unlock()
	own := images.Image{Name: ownRecord + id.String(), Target: target, Labels: map[string]string{
		labelID: id.String(), labelBytes: strconv.FormatInt(size, 10), labelParent: p.parent,
	}}
	if err := s.setRecord(ctx, own); err != nil {
		return Image{}, err
	}
	for _, name := range p.names {
		if err := s.setName(ctx, name, id.String(), target); err != nil {
			return Image{}, err
		}
	}
	all, err := s.records(ctx)
	if err != nil {
		return Image{}, err
	}
	return s.image(ctx, all[id.String()])
}
