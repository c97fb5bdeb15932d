package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/imagecache/catalogue"
)

// Available lists the images that the host's catalogue holds, whether they are used in this session or not.
func (s *Store) Available(context.Context) ([]Image, error) {
	host, err := s.host.Index()
	if err != nil {
		return nil, err
	}
	var list []Image
	for id := range host.Images {
		img, ok, err := s.hostImage(host, id)
		if err != nil {
			return nil, err
		}
		if ok && len(img.Names) > 0 {
			list = append(list, img)
		}
	}
	newestFirst(list)
	return list, nil
}

// available finds a reference in the host's catalogue.
func (s *Store) available(ref string) (Image, bool, error) {
	host, err := s.host.Index()
	if err != nil {
		return Image{}, false, err
	}
	if name, err := parseName(ref); err == nil {
		full := name.String()
		if id, ok := host.Names[full]; ok && !s.isHidden(full) {
			return s.hostImage(host, id)
		}
	}
	ids := map[string]string{}
	for name, id := range host.Names {
		if !s.isHidden(name) {
			ids[id] = id
		}
	}
	id, err := byPrefix(ids, ref)
	if err != nil || id == "" {
		return Image{}, false, err
	}
	return s.hostImage(host, id)
}

func (s *Store) isHidden(full string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hidden[full]
}

// hostImage describes an image of the catalogue. ok is false when it has gone meanwhile.
func (s *Store) hostImage(host *catalogue.Index, id string) (_ Image, ok bool, err error) {
	rec, ok := host.Images[id]
	if !ok {
		return Image{}, false, nil
	}
	b, err := s.host.Blob(id)
	if errors.Is(err, os.ErrNotExist) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, err
	}
	config, err := parseConfig(b)
	if err != nil {
		return Image{}, false, err
	}
	img := describe(id, config)
	img.Shared = true
	for _, l := range rec.Layers {
		img.Size += host.Layers[l.DiffID].Size
	}
	for name, of := range host.Names {
		if of == id && !s.isHidden(name) {
			img.Names = append(img.Names, familiar(name))
		}
	}
	slices.Sort(img.Names)
	return img, true, nil
}

// adopt makes an image of the host's catalogue one of this session, under all names that the host has for it. No layer is
// copied.
func (s *Store) adopt(ctx context.Context, id string) (Image, error) {
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return Image{}, err
	}
	defer release()
	p, err := s.adoption(ctx, id)
	if err != nil {
		return Image{}, err
	}
	return s.put(ctx, p)
}

// adoption makes the layers of an image of the host, and returns what is to be put.
func (s *Store) adoption(ctx context.Context, id string) (p put, err error) {
	host, err := s.host.Index()
	if err != nil {
		return p, err
	}
	rec, ok := host.Images[id]
	if !ok {
		return p, notFound("No such image: %s", id)
	}
	if p.config, err = s.host.Blob(id); err != nil {
		return p, fmt.Errorf("use the host's image %s: %w", id, err)
	}
	config, err := parseConfig(p.config)
	if err != nil {
		return p, err
	}
	for i := range config.RootFS.DiffIDs {
		have, err := s.haveLayer(ctx, config.RootFS.DiffIDs[:i+1])
		if err != nil {
			return p, err
		}
		if !have {
			return p, fmt.Errorf("use the host's image %s: its layer %s has gone", id, config.RootFS.DiffIDs[i])
		}
	}
	for name, of := range host.Names {
		if of == id && !s.isHidden(name) {
			p.names = append(p.names, name)
		}
	}
	p.manifest, p.kind, err = s.hostManifest(host, rec, p.config)
	return p, err
}

// hostManifest is the manifest that the host has, or one made of what it knows of the layers.
func (s *Store) hostManifest(host *catalogue.Index, rec catalogue.Image, config []byte) (body []byte, kind string, err error) {
	if rec.Manifest != "" {
		if b, err := s.host.Blob(rec.Manifest); err == nil {
			var m ocispec.Manifest
			if err := json.Unmarshal(b, &m); err == nil && len(m.Layers) == len(rec.Layers) {
				return b, manifestKind(m), nil
			}
		}
	}
	m := newManifest(config)
	for _, l := range rec.Layers {
		m.Layers = append(m.Layers, hostLayer(l.DiffID, host.Layers[l.DiffID]))
	}
	body, err = json.Marshal(m)
	return body, m.MediaType, err
}

// hostLayer describes a layer of the host by its archive.
func hostLayer(diffID string, t catalogue.Tree) ocispec.Descriptor {
	switch {
	case t.Archive == nil: // of an older cache: it can be used, but neither saved nor pushed
		return ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2Layer, Digest: digest.Digest(diffID), Size: t.Size}
	case t.Archive.Zstd:
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: digest.Digest(t.Archive.Digest), Size: t.Archive.Size}
	}
	return ocispec.Descriptor{
		MediaType: images.MediaTypeDockerSchema2LayerGzip, Digest: digest.Digest(t.Archive.Digest), Size: t.Archive.Size,
	}
}

// newManifest is the manifest of Docker for a config, without layers.
func newManifest(config []byte) ocispec.Manifest {
	m := ocispec.Manifest{MediaType: images.MediaTypeDockerSchema2Manifest, Config: ocispec.Descriptor{
		MediaType: images.MediaTypeDockerSchema2Config, Digest: digest.FromBytes(config), Size: int64(len(config)),
	}}
	m.SchemaVersion = 2
	return m
}

// manifestKind is the media type of a manifest; OCI's may leave it out.
func manifestKind(m ocispec.Manifest) string {
	if m.MediaType != "" {
		return m.MediaType
	}
	return ocispec.MediaTypeImageManifest
}
