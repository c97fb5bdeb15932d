package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hostPatience is how long a registry may take to describe an image that the host has as well: a registry that cannot be
// reached is not waited for.
const hostPatience = 2 * time.Second

// PullOptions say how an image is fetched.
type PullOptions struct {
	AllTags  bool
	Platform string // "linux/arm64"; empty: this machine's
	Auth     authn.Authenticator
	Progress Progress
}

// Pull fetches an image: only the layers that neither this store nor the host has. Where the registry does not give it, but
// the host's catalogue has the name, the host's is used.
func (s *Store) Pull(ctx context.Context, ref string, o PullOptions) error {
	n, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return invalid("invalid reference format: %s", reason(err))
	}
	if o.AllTags {
		if !reference.IsNameOnly(n) {
			return invalid("tag can't be used with --all-tags/-a")
		}
		return s.pullAll(ctx, n, o)
	}
	if n, err = parseName(ref); err != nil {
		return err
	}
	return s.pullOne(ctx, n, o)
}

func (s *Store) pullAll(ctx context.Context, n reference.Named, o PullOptions) error {
	repo, err := remoteName(n)
	if err != nil {
		return err
	}
	from, err := s.connect(ctx, repo, o.Auth, "pull")
	if err != nil {
		return explainPull(n, err)
	}
	tags, err := remote.List(repo, remote.WithTransport(from.http), remote.WithContext(ctx))
	if err != nil {
		return explainPull(n, err)
	}
	for _, t := range tags {
		tagged, err := reference.WithTag(n, t)
		if err != nil {
			continue // not one that could be asked for
		}
		if err := s.pullOne(ctx, tagged, o); err != nil {
			return err
		}
	}
	return nil
}

// tagOf is the tag or the digest of a full reference.
func tagOf(n reference.Named) string {
	if d, ok := n.(reference.Digested); ok {
		return d.Digest().String()
	}
	if t, ok := n.(reference.Tagged); ok {
		return t.Tag()
	}
	return "latest"
}

func (s *Store) pullOne(ctx context.Context, n reference.Named, o PullOptions) error {
	host, err := s.host.Index()
	if err != nil {
		return err
	}
	shared := host.Names[n.String()]
	describing := ctx
	if shared != "" {
		var cancel context.CancelFunc
		describing, cancel = context.WithTimeout(ctx, hostPatience)
		defer cancel()
	}
	found, err := s.describeRemote(describing, n, o)
	if err != nil && shared != "" && o.Platform == "" && ctx.Err() == nil {
		s.Log.Info("the host's image instead of the registry's", "image", n.String(), "error", err)
		return s.pullShared(ctx, n, shared, o.Progress)
	}
	if err != nil {
		return explainPull(n, err)
	}
	o.Progress.tell(jsonstream.Message{ID: tagOf(n), Status: "Pulling from " + reference.Path(reference.TrimNamed(n))})
	return s.pullFound(ctx, n, found, o.Progress)
}

// remoteImage is an image at a registry, for the platform that was asked for.
type remoteImage struct {
	from     *endpoint
	top      digest.Digest // of what the tag stands for: an index, or the manifest itself
	manifest ocispec.Manifest
	body     []byte // of the manifest
	kind     string // its media type
	config   []byte
}

// describeRemote fetches manifest and config, from a mirror or the registry itself.
func (s *Store) describeRemote(ctx context.Context, n reference.Named, o PullOptions) (*remoteImage, error) {
	for _, m := range s.mirrors(n) {
		from, err := s.connectTo(ctx, m.Repository, nil, "pull", m.plain)
		if err == nil {
			var found *remoteImage
			if found, err = from.describe(ctx, tagOf(n), o.Platform); err == nil {
				return found, nil
			}
		}
		s.Log.Warn("registry mirror", "mirror", m.RegistryStr(), "image", n.String(), "error", err)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	repo, err := remoteName(n)
	if err != nil {
		return nil, err
	}
	from, err := s.connect(ctx, repo, o.Auth, "pull")
	if err != nil {
		return nil, err
	}
	return from.describe(ctx, tagOf(n), o.Platform)
}

// describe follows a tag or a digest to the image of one platform.
func (e *endpoint) describe(ctx context.Context, tagOrDigest, platform string) (*remoteImage, error) {
	d, err := e.manifest(ctx, tagOrDigest)
	if err != nil {
		return nil, err
	}
	found := &remoteImage{from: e, top: digest.Digest(d.Digest.String())}
	for range maxIndexes {
		if !images.IsIndexType(string(d.MediaType)) {
			return found, found.read(ctx, d)
		}
		child, err := choose(d.Manifest, platform)
		if err != nil {
			return nil, err
		}
		if d, err = e.manifest(ctx, child.String()); err != nil {
			return nil, err
		}
	}
	return nil, invalid("more than %d indexes lead to each other", maxIndexes)
}

// choose finds the manifest of a platform in an index.
func choose(index []byte, platform string) (digest.Digest, error) {
	want := ocispec.Platform{OS: "linux", Architecture: goruntime.GOARCH}
	if platform != "" {
		var err error
		if want, err = platforms.Parse(platform); err != nil {
			return "", invalid("invalid platform: %s", err)
		}
	}
	var x ocispec.Index
	if err := json.Unmarshal(index, &x); err != nil {
		return "", invalid("invalid manifest list: %s", err)
	}
	match := platforms.Only(want)
	best := -1
	for i, m := range x.Manifests {
		if m.Platform == nil || !match.Match(*m.Platform) {
			continue
		}
		if best < 0 || match.Less(*m.Platform, *x.Manifests[best].Platform) {
			best = i
		}
	}
	if best < 0 {
		return "", notFound("no matching manifest for %s in the manifest list entries", platforms.Format(want))
	}
	return x.Manifests[best].Digest, x.Manifests[best].Digest.Validate()
}

// read parses a manifest and fetches its config.
func (r *remoteImage) read(ctx context.Context, d *remote.Descriptor) error {
	r.body, r.kind = d.Manifest, string(d.MediaType)
	if strings.HasPrefix(r.kind, "application/vnd.docker.distribution.manifest.v1") {
		return invalid("the image has a manifest of schema 1, which is no longer supported: it must be pushed again by a newer Docker")
	}
	if err := json.Unmarshal(d.Manifest, &r.manifest); err != nil {
		return invalid("invalid manifest: %s", err)
	}
	switch kind := r.manifest.Config.MediaType; kind {
	case images.MediaTypeDockerSchema2Config, ocispec.MediaTypeImageConfig, "application/octet-stream", "":
	default: // a chart, a signature, …
		return invalid("unsupported media type %s", kind)
	}
	if err := r.manifest.Config.Digest.Validate(); err != nil {
		return invalid("invalid manifest: %s", err)
	}
	for _, l := range r.manifest.Layers {
		if err := l.Digest.Validate(); err != nil {
			return invalid("invalid manifest: %s", err)
		}
	}
	body, _, err := r.from.blob(ctx, r.manifest.Config.Digest.String(), 0, r.manifest.Config.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	if r.config, err = io.ReadAll(io.LimitReader(body, maxDocument)); err != nil {
		return err
	}
	if digest.FromBytes(r.config) != r.manifest.Config.Digest {
		return fmt.Errorf("image config verification failed for digest %s", r.manifest.Config.Digest)
	}
	return nil
}

// pullFound fetches the layers: up to three at a time, each unpacked when those below it are.
func (s *Store) pullFound(ctx context.Context, n reference.Named, found *remoteImage, progress Progress) error {
	config, err := parseConfig(found.config)
	if err != nil {
		return err
	}
	layers, diffIDs := found.manifest.Layers, config.RootFS.DiffIDs
	if len(layers) != len(diffIDs) {
		return invalid("invalid manifest: it has %d layers, and the config %d", len(layers), len(diffIDs))
	}
	if config.OS != "" && config.OS != "linux" {
		return invalid("image operating system %q cannot be used on this platform", config.OS)
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer s.collectSoon()
	defer release()
	if err := s.pullLayers(ctx, found.from, layers, diffIDs, progress); err != nil {
		return err
	}
	progress.tell(jsonstream.Message{Status: "Digest: " + found.top.String()})
	digested, err := reference.WithDigest(reference.TrimNamed(n), found.top)
	if err != nil {
		return err
	}
	p := put{config: found.config, manifest: found.body, kind: found.kind, names: []string{digested.String()}}
	if _, ok := n.(reference.Tagged); ok {
		p.names = append(p.names, n.String())
	}
	return s.pulled(ctx, n, p, progress)
}

// pulled writes the image that was fetched under its names, and says whether it is a new one.
func (s *Store) pulled(ctx context.Context, n reference.Named, p put, progress Progress) error {
	all, err := s.records(ctx)
	if err != nil {
		return err
	}
	before, err := lookup(all, n.String())
	if err != nil {
		return err
	}
	img, err := s.put(ctx, p)
	if err != nil {
		return err
	}
	status := "Status: Downloaded newer image for "
	if before != nil && before.id == img.ID {
		status = "Status: Image is up to date for "
	}
	progress.tell(jsonstream.Message{Status: status + reference.FamiliarString(n)})
	s.tell(events.ActionPull, reference.FamiliarString(n), reference.FamiliarName(n), img.Config)
	return nil
}

// pullShared uses the host's image.
func (s *Store) pullShared(ctx context.Context, n reference.Named, id string, progress Progress) error {
	progress.tell(jsonstream.Message{ID: tagOf(n), Status: "Pulling from " + reference.Path(reference.TrimNamed(n))})
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	p, err := s.adoption(ctx, id)
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(p.manifest, &m); err != nil {
		return err
	}
	for _, l := range m.Layers {
		progress.layer(short(l.Digest.String()), "Already exists")
	}
	top := digest.FromBytes(p.manifest)
	progress.tell(jsonstream.Message{Status: "Digest: " + top.String()})
	p.names = []string{n.String()}
	if digested, err := reference.WithDigest(reference.TrimNamed(n), top); err == nil {
		p.names = append(p.names, digested.String())
	}
	return s.pulled(ctx, n, p, progress)
}

// pullLayers brings in what is missing of a stack of layers.
func (s *Store) pullLayers(ctx context.Context, from *endpoint, layers []ocispec.Descriptor, diffIDs []digest.Digest, progress Progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	first := 0
	for first < len(layers) { // those below the first that is missing
		have, err := s.haveLayer(ctx, diffIDs[:first+1])
		if err != nil {
			cancel(nil)
			return err
		}
		if !have {
			break
		}
		progress.layer(short(layers[first].Digest.String()), "Already exists")
		first++
	}
	for _, l := range layers[first:] {
		progress.layer(short(l.Digest.String()), "Pulling fs layer")
	}
	arrived := make([]chan error, len(layers))
	for i := first; i < len(layers); i++ {
		arrived[i] = make(chan error, 1)
		go func() { arrived[i] <- s.downloadMissing(ctx, from, layers[i], diffIDs[i], progress) }()
	}
	var failed error
	for i := first; i < len(layers); i++ { // all are waited for, also when one has failed
		err := <-arrived[i]
		if err == nil && failed == nil {
			err = s.extract(ctx, layers[i], diffIDs[:i+1], progress)
		}
		if err != nil && failed == nil {
			failed = err
			cancel(err)
		}
	}
	cancel(nil)
	return failed
}

// downloadMissing fetches a layer that the host does not have, in whatever place of the stack.
func (s *Store) downloadMissing(ctx context.Context, from *endpoint, l ocispec.Descriptor, diffID digest.Digest, progress Progress) error {
	if host, err := s.host.Index(); err == nil && s.SharedLayers != "" {
		if _, ok := host.Layers[diffID.String()]; ok {
			return nil
		}
	}
	return s.download(ctx, from, l, diffID, progress)
}

// extract unpacks a layer that has arrived.
func (s *Store) extract(ctx context.Context, l ocispec.Descriptor, diffIDs []digest.Digest, progress Progress) error {
	id := short(l.Digest.String())
	have, err := s.haveLayer(ctx, diffIDs)
	if err != nil {
		return err
	}
	if have {
		progress.layer(id, "Already exists")
		return nil
	}
	err = s.unpackBlobTelling(ctx, l, diffIDs, Progress(func(m jsonstream.Message) {
		m.ID, m.Status = id, "Extracting"
		progress.tell(m)
	}))
	if err != nil {
		return err
	}
	progress.layer(id, "Pull complete")
	return nil
}
