package image

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/moby/moby/api/types/image"
)

// History returns how an image was made, the last step first.
func (s *Store) History(ctx context.Context, ref string) ([]image.HistoryResponseItem, error) {
	img, err := s.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	items := make([]image.HistoryResponseItem, 0, len(img.Config.History))
	layer := 0
	for ; layer < untold(img); layer++ {
		item := image.HistoryResponseItem{ID: "<missing>", Created: img.Created.Unix()}
		if item.Size, err = s.sizeIn(ctx, img, layer); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	for _, h := range img.Config.History {
		item := image.HistoryResponseItem{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			item.Created = h.Created.Unix()
		}
		if !h.EmptyLayer && layer < len(img.Layers) {
			if item.Size, err = s.sizeIn(ctx, img, layer); err != nil {
				return nil, err
			}
			layer++
		}
		items = append(items, item)
	}
	slices.Reverse(items)
	if len(items) > 0 {
		items[0].ID, items[0].Tags = img.ID, img.Names
	}
	return items, nil
}

// untold is how many of an image's lowest layers its history says nothing of.
func untold(img Image) int {
	n := len(img.Layers)
	for _, h := range img.Config.History {
		if !h.EmptyLayer {
			n--
		}
	}
	return max(0, n)
}

// sizeIn is the bytes of the files of one layer of an image.
func (s *Store) sizeIn(ctx context.Context, img Image, layer int) (int64, error) {
	if img.Shared {
		host, err := s.host.Index()
		if err != nil {
			return 0, err
		}
		return host.Layers[img.Layers[layer].String()].Size, nil
	}
	return s.layerSize(ctx, img.Layers[:layer+1])
}

// LayerSizes returns the bytes of the files of each layer of an image, lowest first.
func (s *Store) LayerSizes(ctx context.Context, img Image) ([]int64, error) {
	sizes := make([]int64, len(img.Layers))
	for i := range img.Layers {
		var err error
		if sizes[i], err = s.sizeIn(ctx, img, i); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

// DiskUsage is what images take of the session's disk: their blobs and unpacked layers, each once. What the host shares is
// not counted, nor what containers have written.
func (s *Store) DiskUsage(ctx context.Context) (int64, error) {
	ctx = scoped(ctx)
	var sum int64
	err := s.content.Walk(ctx, func(i content.Info) error {
		sum += i.Size
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("usage of images: %w", err)
	}
	err = s.snapshots.Walk(ctx, func(ctx context.Context, i snapshots.Info) error {
		if i.Kind != snapshots.KindCommitted {
			return nil
		}
		u, err := s.snapshots.Usage(ctx, i.Name)
		sum += u.Size
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("usage of images: %w", err)
	}
	return sum, nil
}
