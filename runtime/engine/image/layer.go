package image

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"golang.org/x/sys/unix"

	"berth/runtime/imagecache/catalogue"
)

// ChainID names a stack of layers, lowest first: OCI image-spec, config.md. Empty for no layers.
func ChainID(diffIDs []digest.Digest) string { return chainID(diffIDs) }

func chainID(diffIDs []digest.Digest) string { return identity.ChainID(diffIDs).String() }

// haveLayer reports whether the snapshot of the highest of these layers is there, making it where the host has the layer.
// All layers below must be there. The context holds it.
func (s *Store) haveLayer(ctx context.Context, diffIDs []digest.Digest) (bool, error) {
	chain := chainID(diffIDs)
	unlock, err := s.lockKey(ctx, chain)
	if err != nil {
		return false, err
	}
	defer unlock()
	host, err := s.host.Index()
	if err != nil {
		return false, err
	}
	top := diffIDs[len(diffIDs)-1]
	labels := map[string]string{snapshots.LabelSnapshotRef: chain}
	tree, shared := host.Layers[top.String()]
	if shared && s.SharedLayers != "" {
		archive, err := json.Marshal(tree.Archive)
		if err != nil {
			return false, err
		}
		labels[labelShared], labels[labelSize] = catalogue.Hex(top.String()), strconv.FormatInt(tree.Size, 10)
		labels[labelArchive] = string(archive)
	}
	key := "extract-" + rand.Text()
	_, err = s.snapshots.Prepare(ctx, key, chainID(diffIDs[:len(diffIDs)-1]), snapshots.WithLabels(labels))
	switch {
	case errdefs.IsAlreadyExists(err):
		return true, nil
	case errdefs.IsUnavailable(err): // the host has removed the layer this very moment
		return false, nil
	case err != nil:
		return false, fmt.Errorf("prepare layer %s: %w", top, err)
	}
	return false, s.snapshots.Remove(context.WithoutCancel(ctx), key)
}

// unpack makes the snapshot of the highest of these layers from its uncompressed tar, which must have the digest that it
// is known by. Nothing is left of one that fails.
func (s *Store) unpack(ctx context.Context, diffIDs []digest.Digest, stream io.Reader) (err error) {
	want, chain := diffIDs[len(diffIDs)-1], chainID(diffIDs)
	key := "extract-" + rand.Text()
	mounts, err := s.snapshots.Prepare(ctx, key, chainID(diffIDs[:len(diffIDs)-1]))
	if err != nil {
		return fmt.Errorf("prepare layer %s: %w", want, err)
	}
	defer func() {
		if err != nil {
			undo := context.WithoutCancel(ctx)
			err = errors.Join(err, s.snapshots.Remove(undo, key))
			s.collectSoon()
		}
	}()
	got, size, err := applyTar(ctx, mounts, stream)
	if err != nil {
		return fmt.Errorf("failed to register layer: %w", err)
	}
	if got != want {
		return invalid("invalid diffID for layer: expected %q, got %q", want, got)
	}
	labels := snapshots.WithLabels(map[string]string{labelSize: strconv.FormatInt(size, 10)})
	err = s.snapshots.Commit(ctx, chain, key, labels)
	if errdefs.IsAlreadyExists(err) { // another was faster
		return s.snapshots.Remove(ctx, key)
	}
	return err
}

// applyTar unpacks a layer into a prepared snapshot and returns the digest of the whole stream, and the bytes of its files.
func applyTar(ctx context.Context, mounts []mount.Mount, stream io.Reader) (digest.Digest, int64, error) {
	digester := digest.Canonical.Digester()
	tee := io.TeeReader(stream, digester.Hash())
	size := int64(0)
	count := func(hdr *tar.Header) (bool, error) {
		size += hdr.Size
		return withoutOverlay(hdr)
	}
	_, err := archive.Apply(ctx, upperOf(mounts), tee, archive.WithConvertWhiteout(convertWhiteout),
		archive.WithParents(lowersOf(mounts)), archive.WithFilter(count))
	if err != nil {
		return "", 0, err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // padding after the last entry counts
		return "", 0, err
	}
	return digester.Digest(), size, nil
}

const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	opaqueXattr    = "user.overlay.opaque"
	overlayXattrs  = "user.overlay."
)

// convertWhiteout writes what a layer says is gone as overlay with userxattr reads it.
func convertWhiteout(hdr *tar.Header, path string) (write bool, err error) {
	dir, base := filepath.Split(path)
	if base == whiteoutOpaque {
		return false, unix.Setxattr(filepath.Clean(dir), opaqueXattr, []byte{'y'}, 0)
	}
	name, ok := strings.CutPrefix(base, whiteoutPrefix)
	if !ok {
		return true, nil
	}
	gone := filepath.Join(dir, name)
	if err := unix.Mknod(gone, unix.S_IFCHR, 0); err != nil {
		if errors.Is(err, unix.EEXIST) { // the layer itself has put something there
			return false, nil
		}
		return false, &os.PathError{Op: "mknod", Path: gone, Err: err}
	}
	return false, os.Lchown(gone, hdr.Uid, hdr.Gid)
}

// withoutOverlay keeps a layer from speaking to overlay itself.
func withoutOverlay(hdr *tar.Header) (bool, error) {
	for key := range hdr.PAXRecords {
		name := strings.TrimPrefix(key, "SCHILY.xattr.")
		if strings.HasPrefix(name, overlayXattrs) || strings.HasPrefix(name, "trusted.") {
			delete(hdr.PAXRecords, key)
		}
	}
	return true, nil
}

// layersSize is the bytes of the files of a stack of layers.
func (s *Store) layersSize(ctx context.Context, diffIDs []digest.Digest) (int64, error) {
	var sum int64
	for i := range diffIDs {
		n, err := s.layerSize(ctx, diffIDs[:i+1])
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// layerSize is the bytes of the files of the highest of these layers.
func (s *Store) layerSize(ctx context.Context, diffIDs []digest.Digest) (int64, error) {
	chain := chainID(diffIDs)
	info, err := s.snapshots.Stat(scoped(ctx), chain)
	if err != nil {
		return 0, fmt.Errorf("layer %s: %w", chain, err)
	}
	if info.Labels[labelSize] != "" {
		return strconv.ParseInt(info.Labels[labelSize], 10, 64)
	}
	u, err := s.snapshots.Usage(scoped(ctx), chain)
	return u.Size, err
}
