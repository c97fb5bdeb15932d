package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/imagecache/catalogue"
)

// labelKind is the media type of a layer, on its blob.
const labelKind = "berth.kind"

// layerBlob finds the blob of a layer: in this store, or on the host.
func (s *Store) layerBlob(ctx context.Context, diffID digest.Digest) (desc ocispec.Descriptor, ok bool, err error) {
	filter := fmt.Sprintf("labels.%q==%s", labelUncompressed, diffID)
	err = s.content.Walk(ctx, func(i content.Info) error {
		if i.Labels[labelUncompressed] == diffID.String() { // the filter is only a hint
			desc, ok = ocispec.Descriptor{MediaType: i.Labels[labelKind], Digest: i.Digest, Size: i.Size}, true
		}
		return nil
	}, filter)
	if err != nil || ok {
		return desc, ok, err
	}
	_, archive, err := s.hostArchive(ctx, func(id string, _ *catalogue.Archive) bool { return id == diffID.String() })
	if err != nil || archive == nil {
		return desc, false, err
	}
	return hostLayer(diffID.String(), catalogue.Tree{Archive: archive}), true, nil
}

// hostArchive finds a layer of the host, with its diff-id: one that it offers, or one that is in use here though it is
// offered no more.
func (s *Store) hostArchive(ctx context.Context, match func(diffID string, a *catalogue.Archive) bool) (string, *catalogue.Archive, error) {
	host, err := s.host.Index()
	if err != nil {
		return "", nil, err
	}
	for id, t := range host.Layers {
		if t.Archive != nil && match(id, t.Archive) {
			return id, t.Archive, nil
		}
	}
	var found string
	var archive *catalogue.Archive
	err = s.snapshots.Walk(scoped(ctx), func(_ context.Context, i snapshots.Info) error {
		id := "sha256:" + i.Labels[labelShared]
		var a *catalogue.Archive
		if i.Labels[labelShared] == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(i.Labels[labelArchive]), &a); err != nil {
			return fmt.Errorf("layer %s: %w", id, err)
		}
		if a != nil && match(id, a) {
			found, archive = id, a
		}
		return nil
	})
	return found, archive, err
}

// openBlob reads a blob of this store, or a layer of the host.
func (s *Store) openBlob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	blob, err := s.content.ReaderAt(scoped(ctx), desc)
	if err == nil {
		return blobReader{content.NewReader(blob), blob}, nil
	}
	if !errdefs.IsNotFound(err) {
		return nil, err
	}
	want := desc.Digest.String()
	diffID, archive, err := s.hostArchive(ctx, func(id string, a *catalogue.Archive) bool { return id == want || a.Digest == want })
	if err != nil {
		return nil, err
	}
	plain := diffID == want // the digest is that of the plain tar
	if archive == nil {
		return nil, fmt.Errorf("layer %s is on this host only unpacked: pull or import the image again%w", desc.Digest, silent{errdefs.ErrUnavailable})
	}
	f, err := os.Open(s.host.ArchivePath(diffID))
	if err != nil || !plain {
		return f, err
	}
	r, err := decompress(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return blobReader{r, closers{r, f}}, nil
}

// silent classifies an error without a word.
type silent struct{ class error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.class }

type blobReader struct {
	io.Reader
	io.Closer
}

type closers []io.Closer

// Close closes all.
func (c closers) Close() error {
	var err error
	for _, o := range c {
		err = errors.Join(err, o.Close())
	}
	return err
}

// addLayer brings in the highest of these layers from its stream, compressed or not: its blob and its snapshot. The host's
// are not written again, unless exact asks for a blob with that digest.
func (s *Store) addLayer(
	ctx context.Context, diffIDs []digest.Digest, exact *ocispec.Descriptor, open func() (io.ReadCloser, error),
) (ocispec.Descriptor, error) {
	top := diffIDs[len(diffIDs)-1]
	have, err := s.haveLayer(ctx, diffIDs)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if have && exact == nil {
		if desc, ok, err := s.layerBlob(ctx, top); err != nil || ok {
			return desc, err
		}
	}
	if exact != nil && s.hasBlob(ctx, *exact) {
		if have {
			return *exact, nil
		}
		return *exact, s.unpackBlob(ctx, *exact, diffIDs)
	}
	stream, err := open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer stream.Close()
	desc, err := s.keepLayer(ctx, top, exact, stream)
	if err != nil || have {
		return desc, err
	}
	return desc, s.unpackBlob(ctx, desc, diffIDs)
}

// keepLayer writes the blob of a layer. A plain tar is compressed, unless exact wants it as it is.
func (s *Store) keepLayer(ctx context.Context, diffID digest.Digest, exact *ocispec.Descriptor, stream io.Reader) (ocispec.Descriptor, error) {
	b := bufio.NewReaderSize(stream, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return ocispec.Descriptor{}, err
	}
	kind := ""
	switch {
	case exact != nil:
		kind = exact.MediaType
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		kind = images.MediaTypeDockerSchema2LayerGzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		kind = ocispec.MediaTypeImageLayerZstd
	default:
		desc, got, err := s.compressLayer(ctx, func(w io.Writer) error {
			_, err := io.Copy(w, b)
			return err
		})
		if err == nil && got != diffID {
			err = invalid("invalid diffID for layer: expected %q, got %q", diffID, got)
		}
		return desc, err
	}
	return s.rawLayer(ctx, kind, diffID, exact, b)
}

// rawLayer writes a layer's blob as it comes.
func (s *Store) rawLayer(
	ctx context.Context, kind string, diffID digest.Digest, exact *ocispec.Descriptor, stream io.Reader,
) (_ ocispec.Descriptor, err error) {
	desc := ocispec.Descriptor{MediaType: kind}
	ref := "layer-" + rand.Text()
	blob, err := content.OpenWriter(ctx, s.content, content.WithRef(ref))
	if err != nil {
		return desc, err
	}
	defer func() {
		_ = blob.Close() // committed, or aborted here
		if err != nil {
			_ = s.content.Abort(context.WithoutCancel(ctx), ref)
		}
	}()
	if desc.Size, err = io.Copy(blob, stream); err != nil {
		return desc, err
	}
	if desc.Digest = blob.Digest(); exact != nil && desc.Digest != exact.Digest {
		return desc, invalid("layer %s is damaged: its digest is %s", exact.Digest, desc.Digest)
	}
	labels := map[string]string{labelUncompressed: diffID.String(), labelKind: kind}
	return desc, ignoreExisting(blob.Commit(ctx, desc.Size, desc.Digest, content.WithLabels(labels)))
}

// hasBlob reports whether openBlob would find a layer.
func (s *Store) hasBlob(ctx context.Context, desc ocispec.Descriptor) bool {
	r, err := s.openBlob(ctx, desc)
	if err != nil {
		return false
	}
	_ = r.Close() // opened for reading
	return true
}
