package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeBlob writes a small blob with labels, which it also gets if it was there before.
func (s *Store) writeBlob(ctx context.Context, kind string, b []byte, labels map[string]string) error {
	desc := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(b), Size: int64(len(b))}
	unlock, err := s.lockKey(ctx, desc.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	ref := "blob-" + desc.Digest.String()
	if err := content.WriteBlob(ctx, s.content, ref, bytes.NewReader(b), desc, content.WithLabels(labels)); err != nil {
		_ = s.content.Abort(context.WithoutCancel(ctx), ref) // nothing half-made stays
		return fmt.Errorf("write %s: %w", desc.Digest, err)
	}
	var paths []string
	for l := range labels {
		paths = append(paths, "labels."+l)
	}
	if len(paths) == 0 {
		return nil
	}
	_, err = s.content.Update(ctx, content.Info{Digest: desc.Digest, Labels: labels}, paths...)
	return err
}

// references are the labels by which a manifest keeps config and layers.
func references(manifest []byte) (map[string]string, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, invalid("invalid manifest: %s", err)
	}
	labels := map[string]string{"containerd.io/gc.ref.content.config": m.Config.Digest.String()}
	for i, l := range m.Layers {
		labels["containerd.io/gc.ref.content.l."+strconv.Itoa(i)] = l.Digest.String()
	}
	return labels, nil
}

// setRecord makes a record, or replaces it.
func (s *Store) setRecord(ctx context.Context, i images.Image) error {
	_, err := s.images.Create(ctx, i)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.images.Update(ctx, i)
	}
	return err
}

// setName gives an image a name; the image that had it keeps its own record.
func (s *Store) setName(ctx context.Context, full, id string, target ocispec.Descriptor) error {
	if err := s.setRecord(ctx, images.Image{Name: full, Target: target, Labels: map[string]string{labelID: id}}); err != nil {
		return fmt.Errorf("name image %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hidden, full)
	return nil
}

// labelUncompressed is containerd's: the diff-id of a layer, on its blob.
const labelUncompressed = "containerd.io/uncompressed"

// ignoreExisting takes that a blob is there already for success.
func ignoreExisting(err error) error {
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	return err
}
