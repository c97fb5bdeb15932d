package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/klauspost/compress/gzip"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CommitOptions say what the image of a container shall be like.
type CommitOptions struct {
	Repo, Tag string // its name; none where Repo is empty
	Author    string
	Comment   string
	Changes   []string                         // instructions of a Dockerfile: applied last
	Config    *dockerspec.DockerOCIImageConfig // the container's, over the image's; nil: the image's alone
	Container string                           // its ID
}

// Commit makes an image of a root: the layers that it stands on, and one of its changes. A container that runs should be
// paused meanwhile.
func (s *Store) Commit(ctx context.Context, key string, o CommitOptions) (Image, error) {
	var names []string
	if o.Repo != "" {
		full, err := parseTag(o.Repo, o.Tag)
		if err != nil {
			return Image{}, err
		}
		names = append(names, full)
	}
	parent, err := s.rootImage(ctx, key)
	if err != nil {
		return Image{}, err
	}
	config, err := s.config(ctx, parent)
	if err != nil {
		return Image{}, err
	}
	if o.Config != nil {
		config.Config = mergeConfig(*o.Config, config.Config)
	}
	config.Config, err = applyChanges(config.Config, o.Changes)
	if err != nil {
		return Image{}, err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return Image{}, err
	}
	defer release()
	layers, diffIDs, err := s.commitLayer(ctx, key, config.RootFS.DiffIDs)
	if err != nil {
		return Image{}, err
	}
	now := time.Now().UTC()
	config.Created, config.Author, config.Comment, config.Container = &now, o.Author, o.Comment, o.Container
	config.RootFS.Type = "layers"
	config.RootFS.DiffIDs = diffIDs
	config.History = append(slices.Clone(config.History), ocispec.History{
		Created: &now, CreatedBy: strings.Join(config.Config.Cmd, " "), Author: o.Author, Comment: o.Comment, EmptyLayer: len(layers) == 0,
	})
	img, err := s.finish(ctx, config, parent, layers, names)
	if err != nil {
		return Image{}, err
	}
	for _, n := range img.Names {
		s.tell(events.ActionTag, img.ID, n, img.Config)
	}
	return img, nil
}

// finish writes an image that stands on the layers of parent, with new layers on top.
func (s *Store) finish(ctx context.Context, config Config, parent string, layers []ocispec.Descriptor, names []string) (Image, error) {
	if config.OS == "" {
		config.OS = "linux"
	}
	if config.Architecture == "" {
		config.Architecture = goruntime.GOARCH
	}
	body, err := json.Marshal(config)
	if err != nil {
		return Image{}, err
	}
	m := newManifest(body)
	if parent != "" {
		below, err := s.manifest(ctx, parent)
		if err != nil {
			return Image{}, err
		}
		m.Layers = append(m.Layers, below.Layers...)
	}
	m.Layers = append(m.Layers, layers...)
	manifest, err := json.Marshal(m)
	if err != nil {
		return Image{}, err
	}
	return s.put(ctx, put{config: body, manifest: manifest, kind: m.MediaType, parent: parent, names: names})
}

// manifest reads the manifest of an image in the store.
func (s *Store) manifest(ctx context.Context, id string) (m ocispec.Manifest, err error) {
	all, err := s.records(ctx)
	if err != nil {
		return m, err
	}
	r := all[id]
	if r == nil {
		return m, notFound("No such image: %s", id)
	}
	b, err := content.ReadBlob(scoped(ctx), s.content, r.target)
	if err != nil {
		return m, fmt.Errorf("read the manifest of image %s: %w", id, err)
	}
	return m, json.Unmarshal(b, &m)
}

// commitLayer writes a root's changes as a layer: its blob, and its snapshot on those below. It returns the new layer, or
// none where nothing has changed, and the diff-ids of the whole stack.
func (s *Store) commitLayer(ctx context.Context, key string, below []digest.Digest) ([]ocispec.Descriptor, []digest.Digest, error) {
	upper, lowers, err := s.RootDirs(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	changed := false
	err = walkUpper(ctx, upper, lowers, func(Change, fs.FileInfo) error {
		changed = true
		return fs.SkipAll
	})
	if err != nil && !errors.Is(err, fs.SkipAll) {
		return nil, nil, err
	}
	if !changed {
		return nil, below, nil
	}
	desc, diffID, err := s.compressLayer(ctx, func(w io.Writer) error { return writeChanges(ctx, w, upper, lowers) })
	if err != nil {
		return nil, nil, fmt.Errorf("write the changes of %s: %w", key, err)
	}
	stack := append(slices.Clone(below), diffID)
	return []ocispec.Descriptor{desc}, stack, s.unpackBlob(ctx, desc, stack)
}

// compressLayer writes the blob of a layer whose tar write produces, and returns its diff-id with it.
func (s *Store) compressLayer(ctx context.Context, write func(io.Writer) error) (_ ocispec.Descriptor, _ digest.Digest, err error) {
	desc := ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2LayerGzip}
	ref := "layer-" + rand.Text()
	blob, err := content.OpenWriter(ctx, s.content, content.WithRef(ref))
	if err != nil {
		return desc, "", err
	}
	defer func() {
		_ = blob.Close() // committed, or aborted below
		if err != nil {
			_ = s.content.Abort(context.WithoutCancel(ctx), ref)
		}
	}()
	diff := digest.Canonical.Digester()
	z, err := gzip.NewWriterLevel(blob, gzip.BestSpeed)
	if err != nil {
		return desc, "", err
	}
	if err := errors.Join(write(io.MultiWriter(z, diff.Hash())), z.Close()); err != nil {
		return desc, "", err
	}
	status, err := blob.Status()
	if err != nil {
		return desc, "", err
	}
	desc.Digest, desc.Size = blob.Digest(), status.Offset
	labels := content.WithLabels(map[string]string{labelUncompressed: diff.Digest().String(), labelKind: desc.MediaType})
	return desc, diff.Digest(), ignoreExisting(blob.Commit(ctx, desc.Size, desc.Digest, labels))
}

// unpackBlob makes the snapshot of the highest of these layers from its blob, if it is not there yet.
func (s *Store) unpackBlob(ctx context.Context, desc ocispec.Descriptor, diffIDs []digest.Digest) error {
	return s.unpackBlobTelling(ctx, desc, diffIDs, nil)
}

// unpackBlobTelling is unpackBlob, with how much of the blob has been read.
func (s *Store) unpackBlobTelling(ctx context.Context, desc ocispec.Descriptor, diffIDs []digest.Digest, progress Progress) error {
	unlock, err := s.lockKey(ctx, "unpack-"+chainID(diffIDs))
	if err != nil {
		return err
	}
	defer unlock()
	if have, err := s.haveLayer(ctx, diffIDs); err != nil || have {
		return err
	}
	blob, err := s.openBlob(ctx, desc)
	if err != nil {
		return err
	}
	defer blob.Close()
	plain, err := decompress(&counted{r: cancelled{ctx, blob}, total: desc.Size, tell: progress})
	if err != nil {
		return err
	}
	defer plain.Close()
	return s.unpack(ctx, diffIDs, plain)
}

// mergeConfig lays a container's config over its image's, as Docker does (moby: runconfig.Merge).
func mergeConfig(container, image dockerspec.DockerOCIImageConfig) dockerspec.DockerOCIImageConfig {
	c := container
	if c.User == "" {
		c.User = image.User
	}
	c.ExposedPorts = union(image.ExposedPorts, c.ExposedPorts)
	c.Volumes = union(image.Volumes, c.Volumes)
	c.Labels = overlaid(image.Labels, c.Labels)
	for _, e := range image.Env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(c.Env, func(have string) bool { return strings.HasPrefix(have, name+"=") }) {
			c.Env = append(c.Env, e)
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = image.Cmd
		}
		c.Entrypoint = image.Entrypoint
	}
	if c.WorkingDir == "" {
		c.WorkingDir = image.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = image.StopSignal
	}
	if len(c.Shell) == 0 {
		c.Shell = image.Shell
	}
	if c.Healthcheck == nil {
		c.Healthcheck = image.Healthcheck
	}
	return c
}

func union(a, b map[string]struct{}) map[string]struct{} {
	if len(a) == 0 {
		return b
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func overlaid(below, above map[string]string) map[string]string {
	if len(below) == 0 {
		return above
	}
	all := maps.Clone(below)
	maps.Copy(all, above)
	return all
}
