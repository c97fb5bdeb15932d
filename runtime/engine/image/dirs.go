package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/imagecache/catalogue"
)

// LayerDirs returns the directories that hold the layers of an image, lowest first: of the session's own disk, or of the
// host's cache. Whoever reads them must call release, and until then the session keeps its own.
func (s *Store) LayerDirs(ctx context.Context, img Image) (dirs []string, release func(), err error) {
	dirs = make([]string, len(img.Layers))
	if img.Shared || len(img.Layers) == 0 {
		for i, d := range img.Layers {
			dirs[i] = filepath.Join(s.SharedLayers, catalogue.Hex(d.String()))
		}
		return dirs, func() {}, nil
	}
	ctx, release, err = s.hold(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := s.fillLayerDirs(ctx, img, dirs); err != nil {
		release()
		return nil, nil, fmt.Errorf("the layers of image %s: %w", short(img.ID), err)
	}
	return dirs, release, nil
}

func (s *Store) fillLayerDirs(ctx context.Context, img Image, dirs []string) (err error) {
	key := "view-" + rand.Text()
	mounts, err := s.snapshots.View(ctx, key, chainID(img.Layers))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.snapshots.Remove(context.WithoutCancel(ctx), key)) }()
	own := []string{} // highest first; of the shared ones, which are links, a second one may have been left out
	lowers := lowersOf(mounts)
	if len(lowers) == 0 {
		lowers = []string{upperOf(mounts)} // an image of one layer
	}
	for _, dir := range lowers {
		if _, err := os.Readlink(dir); err != nil {
			own = append(own, filepath.Clean(dir))
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		info, err := s.snapshots.Stat(ctx, chainID(img.Layers[:i+1]))
		if err != nil {
			return err
		}
		if shared := info.Labels[labelShared]; shared != "" {
			dirs[i] = filepath.Join(s.SharedLayers, shared)
			continue
		}
		if link := info.Labels[labelLink]; link != "" { // it was built: the files stand where the build has left them
			dirs[i] = link
			continue
		}
		if len(own) == 0 {
			return fmt.Errorf("layer %s has no directory: %w", img.Layers[i], errdefs.ErrNotFound)
		}
		dirs[i], own = own[0], own[1:]
	}
	return nil
}

// LayerDigests are the digests of the layers' archives, lowest first; empty where none is known.
func (s *Store) LayerDigests(ctx context.Context, img Image) []digest.Digest {
	list := make([]digest.Digest, len(img.Layers))
	if img.Manifest.Digest == "" {
		return list
	}
	b, err := content.ReadBlob(scoped(ctx), s.content, img.Manifest)
	var m ocispec.Manifest
	if err != nil || json.Unmarshal(b, &m) != nil || len(m.Layers) != len(list) {
		return list
	}
	for i, l := range m.Layers {
		list[i] = l.Digest
	}
	return list
}
