package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What the builder needs of the images: base images to build on, and a place for what was built.

// LabelUncompressed is the diff-id of a layer: an annotation of its descriptor, and a label of its blob.
const LabelUncompressed = labelUncompressed

// Stack is an image as the builder builds on it.
type Stack struct {
	ID     string
	Config []byte
	Layers []ocispec.Descriptor // lowest first, each annotated with LabelUncompressed
	OnHost bool                 // the host's catalogue has it under this name, too
}

// Stack finds an image of this session, or of the host. An image of the host does not become one of the session's.
func (s *Store) Stack(ctx context.Context, ref string) (Stack, error) {
	img, err := s.Get(ctx, ref)
	if err != nil {
		return Stack{}, err
	}
	stack := Stack{ID: img.ID}
	var m ocispec.Manifest
	if img.Shared {
		stack.Config, m, err = s.hostStack(img.ID)
	} else {
		stack.Config, err = content.ReadBlob(scoped(ctx), s.content, ocispec.Descriptor{Digest: digest.Digest(img.ID)})
		if err == nil {
			m, err = s.manifest(ctx, img.ID)
		}
	}
	if err != nil {
		return Stack{}, err
	}
	if stack.OnHost, err = s.onHost(ref); err != nil {
		return Stack{}, err
	}
	if len(m.Layers) != len(img.Layers) {
		return Stack{}, invalid("invalid manifest of %s: %d layers, but %d in its config", img.ID, len(m.Layers), len(img.Layers))
	}
	for i, l := range m.Layers {
		l.Annotations = map[string]string{labelUncompressed: img.Layers[i].String()}
		stack.Layers = append(stack.Layers, l)
	}
	return stack, nil
}

// onHost reports whether the host's catalogue has a name.
func (s *Store) onHost(ref string) (bool, error) {
	name, err := parseName(ref)
	if err != nil {
		return false, nil //nolint:nilerr // an ID
	}
	host, err := s.host.Index()
	if err != nil {
		return false, err
	}
	return host.Names[name.String()] != "", nil
}

func (s *Store) hostStack(id string) (config []byte, m ocispec.Manifest, err error) {
	host, err := s.host.Index()
	if err != nil {
		return nil, m, err
	}
	rec, ok := host.Images[id]
	if !ok {
		return nil, m, notFound("No such image: %s", id)
	}
	if config, err = s.host.Blob(id); err != nil {
		return nil, m, fmt.Errorf("use the host's image %s: %w", id, err)
	}
	b, _, err := s.hostManifest(host, rec, config)
	if err != nil {
		return nil, m, err
	}
	return config, m, json.Unmarshal(b, &m)
}

// Hold keeps all that is made with the context it returns, until release is called.
func (s *Store) Hold(ctx context.Context) (_ context.Context, release func(), err error) {
	return s.hold(ctx)
}

// HaveLayer reports whether the highest of these layers is there, unpacked; the host's is linked. Those below must be there.
func (s *Store) HaveLayer(ctx context.Context, diffIDs []digest.Digest) (bool, error) {
	return s.haveLayer(scoped(ctx), diffIDs)
}

// Link makes the snapshot name, on parent, of the files of the snapshot target: not a byte is copied. Where name is there
// already nothing happens. Labels are given to it. It returns the snapshot that has the files: target, or what that is a link
// to. The collector keeps it for the link's sake, but not for leases that are flat: they must hold the owner, too.
func (s *Store) Link(ctx context.Context, name, parent, target string, labels map[string]string) (owner string, err error) {
	ctx = scoped(ctx)
	unlock, err := s.lockKey(ctx, "link-"+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if info, err := s.snapshots.Stat(ctx, name); err == nil {
		return ownerOf(info), s.keepSnapshot(ctx, name)
	}
	info, err := s.snapshots.Stat(ctx, target)
	if err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	dir, _, err := s.dirsOf(ctx, target)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	owner = ownerOf(info)
	all := map[string]string{snapshots.LabelSnapshotRef: name, labelLink: dir, labelOwner: owner}
	for _, l := range []string{labelDiff, labelTar} {
		if info.Labels[l] != "" {
			all[l] = info.Labels[l]
		}
	}
	maps.Copy(all, labels)
	if all[labelSize] == "" { // a link itself has no bytes
		if all[labelSize], err = s.sizeOf(ctx, info, owner); err != nil {
			return "", fmt.Errorf("link %s: %w", name, err)
		}
	}
	_, err = s.snapshots.Prepare(ctx, "link-"+rand.Text(), parent, snapshots.WithLabels(all))
	if !errdefs.IsAlreadyExists(err) {
		return "", fmt.Errorf("link %s to %s: %w", name, target, err)
	}
	return owner, nil
}

// sizeOf is the bytes of the files of a snapshot, for its link.
func (s *Store) sizeOf(ctx context.Context, info snapshots.Info, owner string) (string, error) {
	if size := info.Labels[labelSize]; size != "" {
		return size, nil
	}
	u, err := s.snapshots.Usage(ctx, owner)
	return strconv.FormatInt(u.Size, 10), err
}

// labelOwner is the snapshot that has the files of a link. The collector follows it.
const labelOwner = "containerd.io/gc.ref.snapshot." + Snapshotter + "/link"

// Owners are the snapshots whose files images of this session stand on, other than under the chain ID of the layer: a build has
// left them.
func (s *Store) Owners(ctx context.Context) (map[string]bool, error) {
	all, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	owners := map[string]bool{}
	for id := range all {
		config, err := s.config(ctx, id)
		if err != nil {
			return nil, err
		}
		for i := range config.RootFS.DiffIDs {
			info, err := s.snapshots.Stat(scoped(ctx), chainID(config.RootFS.DiffIDs[:i+1]))
			if errdefs.IsNotFound(err) { // removed meanwhile
				break
			}
			if err != nil {
				return nil, err
			}
			if owner := ownerOf(info); owner != info.Name {
				owners[owner] = true
			}
		}
	}
	return owners, nil
}

func ownerOf(i snapshots.Info) string {
	if owner := i.Labels[labelOwner]; owner != "" {
		return owner
	}
	return i.Name
}

// keepSnapshot adds a snapshot to the lease of the context.
func (s *Store) keepSnapshot(ctx context.Context, name string) error {
	id, ok := leases.FromContext(ctx)
	if !ok {
		return nil
	}
	r := leases.Resource{ID: name, Type: "snapshots/" + Snapshotter}
	return ignoreExisting(s.leases.AddResource(ctx, leases.Lease{ID: id}, r))
}

// Unpack makes the snapshot of the highest of these layers from its blob, if it is not there yet.
func (s *Store) Unpack(ctx context.Context, desc ocispec.Descriptor, diffIDs []digest.Digest) error {
	return s.unpackBlob(scoped(ctx), desc, diffIDs)
}

// Built is an image that a build has finished. Its layers' snapshots are there, under their chain IDs.
type Built struct {
	Config, Manifest []byte
	Kind             string   // media type of the manifest
	Names            []string // references, with or without a tag
}

// AddBuilt makes a finished build an image of the session.
func (s *Store) AddBuilt(ctx context.Context, b Built) (Image, error) {
	p := put{config: b.Config, manifest: b.Manifest, kind: b.Kind}
	for _, n := range b.Names {
		full, err := parseTag(n, "")
		if err != nil {
			return Image{}, err
		}
		p.names = append(p.names, full)
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return Image{}, err
	}
	defer release()
	img, err := s.put(ctx, p)
	if err != nil {
		return Image{}, err
	}
	s.tell(events.ActionCreate, img.ID, img.ID, img.Config)
	for _, full := range p.names {
		s.tell(events.ActionTag, img.ID, familiar(full), img.Config)
	}
	return img, nil
}

// Blobs reads blobs of layers, of this session and of the host.
func (s *Store) Blobs() content.Provider { return blobs{s} }

type blobs struct{ store *Store }

// ReaderAt is of content.Provider.
func (b blobs) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	if r, err := b.store.content.ReaderAt(scoped(ctx), desc); !errdefs.IsNotFound(err) {
		return r, err
	}
	if f, err := b.store.spoolBuilt(ctx, desc.Digest); err != nil || f != nil {
		return fileReader{f, desc.Size}, err
	}
	r, err := b.store.openBlob(ctx, desc)
	if err != nil {
		return nil, err
	}
	f, ok := r.(*os.File)
	if !ok {
		return nil, errors.Join(fmt.Errorf("layer %s is on this host only unpacked: pull or import the image again", desc.Digest), r.Close())
	}
	return fileReader{f, desc.Size}, nil
}

type fileReader struct {
	*os.File
	size int64
}

func (f fileReader) Size() int64 { return f.size }

// RegistryTransport is what requests to a registry are made with, for the builder.
func (s *Store) RegistryTransport(registry string) (http.RoundTripper, error) {
	return s.transportTo(registry)
}

// PlainHTTP reports whether plain HTTP is spoken with a registry: only on this machine.
func PlainHTTP(registry string) bool { return insecure(registry) }
