package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/imagecache/catalogue"
)

// A layer that was built here has no blob: its files stand on the disk already, and compressing them again would cost more
// than the build. Its tar is made of the files again when it is saved, pushed or exported; it is the same to the byte, which
// the diff-id proves.

// Labels of the snapshot of a layer that was built here.
const (
	labelDiff = "berth.diff" // its diff-id
	labelTar  = "berth.tar"  // bytes of its tar
)

// Layer describes the files of a snapshot as a layer.
type Layer struct {
	DiffID digest.Digest
	Size   int64 // bytes of its tar
	Files  int64 // bytes of its files, as Docker counts them
}

// Descriptor is the layer as a manifest names it, although there is no blob of it.
func (l Layer) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: images.MediaTypeDockerSchema2Layer, Digest: l.DiffID, Size: l.Size,
		Annotations: map[string]string{labelUncompressed: l.DiffID.String()},
	}
}

// Labels are those of a snapshot under its chain ID, for Link.
func (l Layer) Labels() map[string]string {
	return map[string]string{
		labelDiff: l.DiffID.String(), labelTar: strconv.FormatInt(l.Size, 10), labelSize: strconv.FormatInt(l.Files, 10),
	}
}

// SizeLabels are those of a layer whose tar is another one than Measure would write.
func (l Layer) SizeLabels() map[string]string {
	return map[string]string{labelSize: strconv.FormatInt(l.Files, 10)}
}

// Measure reads the files of a committed snapshot, without its parents'.
func (s *Store) Measure(ctx context.Context, snapshot string) (Layer, error) {
	digester := digest.Canonical.Digester()
	var size counter
	files, err := s.writeSnapshot(ctx, io.MultiWriter(digester.Hash(), &size), snapshot)
	if err != nil {
		return Layer{}, fmt.Errorf("read the files of %s: %w", snapshot, err)
	}
	return Layer{DiffID: digester.Digest(), Size: int64(size), Files: files}, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// writeSnapshot writes a committed snapshot's own files as the tar of a layer, and returns how many bytes they have.
func (s *Store) writeSnapshot(ctx context.Context, w io.Writer, name string) (files int64, err error) {
	upper, lowers, err := s.dirsOf(ctx, name)
	if err != nil {
		return 0, err
	}
	seen := map[uint64]bool{}
	return files, writeChangesTelling(ctx, w, upper, lowers, func(info fs.FileInfo) {
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.Mode().IsRegular() || seen[st.Ino] {
			return
		}
		seen[st.Ino] = st.Nlink > 1
		files += info.Size()
	})
}

// dirsOf are the directory with the files of a committed snapshot, and those of its parents, highest first.
func (s *Store) dirsOf(ctx context.Context, name string) (own string, lowers []string, err error) {
	ctx = scoped(ctx)
	key := "view-" + rand.Text()
	mounts, err := s.snapshots.View(ctx, key, name)
	if err != nil {
		return "", nil, err
	}
	// Nothing holds it: a collection may have been faster.
	if err := s.snapshots.Remove(context.WithoutCancel(ctx), key); err != nil && !errdefs.IsNotFound(err) {
		return "", nil, err
	}
	if all := lowersOf(mounts); len(all) > 0 {
		return all[0], all[1:], nil
	}
	if own = upperOf(mounts); own == "" {
		return "", nil, fmt.Errorf("snapshot %s has no directory of its own", name)
	}
	own, err = filepath.EvalSymlinks(own)
	return own, nil, err
}

// builtLayer finds the snapshot of a layer that was built here. Its name is empty where there is none.
func (s *Store) builtLayer(ctx context.Context, diffID digest.Digest) (found snapshots.Info, err error) {
	filter := fmt.Sprintf("labels.%q==%s", labelDiff, diffID)
	err = s.snapshots.Walk(scoped(ctx), func(_ context.Context, i snapshots.Info) error {
		if i.Labels[labelDiff] == diffID.String() { // the filter is only a hint
			found = i
		}
		return nil
	}, filter)
	return found, err
}

// Elsewhere describes the blob of a layer that can be read (Blobs) although it is not in this store: of the host's, or to be
// made of what was built here. ErrNotFound: there is none.
func (s *Store) Elsewhere(ctx context.Context, d digest.Digest) (content.Info, error) {
	diffID, a, err := s.hostArchive(ctx, func(_ string, a *catalogue.Archive) bool { return a.Digest == d.String() })
	if err != nil {
		return content.Info{}, err
	}
	if a != nil {
		return content.Info{Digest: d, Size: a.Size, Labels: map[string]string{labelUncompressed: diffID}}, nil
	}
	built, err := s.builtLayer(ctx, d)
	if err != nil {
		return content.Info{}, err
	}
	if built.Name == "" {
		return content.Info{}, notFound("content %s: not found", d)
	}
	size, err := strconv.ParseInt(built.Labels[labelTar], 10, 64)
	return content.Info{
		Digest: d, Size: size, CreatedAt: built.Created, UpdatedAt: built.Updated, Labels: map[string]string{labelUncompressed: d.String()},
	}, err
}

// compressBuilt writes the blob of a layer that was built here. ok is false where it was not.
func (s *Store) compressBuilt(ctx context.Context, diffID digest.Digest) (desc ocispec.Descriptor, ok bool, err error) {
	built, err := s.builtLayer(ctx, diffID)
	if err != nil || built.Name == "" {
		return desc, false, err
	}
	desc, got, err := s.compressLayer(ctx, func(w io.Writer) error {
		_, err := s.writeSnapshot(ctx, w, built.Name)
		return err
	})
	if err == nil && got != diffID {
		err = changedLayer(diffID, got)
	}
	return desc, true, err
}

func changedLayer(want, got digest.Digest) error {
	return fmt.Errorf("the files of layer %s have changed since it was built: now they are %s", want, got)
}

// spoolBuilt writes the plain tar of a layer that was built here to a file without a name. It is nil where it was not built here.
func (s *Store) spoolBuilt(ctx context.Context, diffID digest.Digest) (_ *os.File, err error) {
	built, err := s.builtLayer(ctx, diffID)
	if err != nil || built.Name == "" {
		return nil, err
	}
	f, err := os.CreateTemp(s.Dir, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil { // it goes with its last descriptor
		return nil, err
	}
	digester := digest.Canonical.Digester()
	if _, err := s.writeSnapshot(ctx, io.MultiWriter(f, digester.Hash()), built.Name); err != nil {
		return nil, err
	}
	if got := digester.Digest(); got != diffID {
		return nil, changedLayer(diffID, got)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}
