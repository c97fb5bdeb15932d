package engine

import (
	"context"
	"io"
	"os"

	"berth/runtime/engine/image/layers"
)

// The host is api.Inspector: the first to ask starts it.

// Image is of api.Inspector.
func (h *host) Image(ctx context.Context, ref string) (layers.Image, error) {
	rooms, err := h.open()
	if err != nil {
		return layers.Image{}, err
	}
	return rooms.inspector.Image(ctx, ref)
}

// Tree is of api.Inspector.
func (h *host) Tree(ctx context.Context, ref string, q layers.Query) (layers.Page, error) {
	rooms, err := h.open()
	if err != nil {
		return layers.Page{}, err
	}
	return rooms.inspector.Tree(ctx, ref, q)
}

// Open is of api.Inspector.
func (h *host) Open(ctx context.Context, ref string, layer int, name string) (*os.File, error) {
	rooms, err := h.open()
	if err != nil {
		return nil, err
	}
	return rooms.inspector.Open(ctx, ref, layer, name)
}

// Compare is of api.Inspector.
func (h *host) Compare(ctx context.Context, a, b string) (layers.Comparison, error) {
	rooms, err := h.open()
	if err != nil {
		return layers.Comparison{}, err
	}
	return rooms.inspector.Compare(ctx, a, b)
}

// Save is of api.Inspector.
func (h *host) Save(ctx context.Context, ref string, w io.Writer) error {
	rooms, err := h.open()
	if err != nil {
		return err
	}
	return rooms.images.Save(ctx, []string{ref}, w)
}
