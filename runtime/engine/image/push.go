package image

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// parallelUploads of one push: Docker's default.
const parallelUploads = 5

// PushOptions say how an image is sent.
type PushOptions struct {
	AllTags  bool
	Auth     authn.Authenticator
	Progress Progress
}

// Push sends an image to the registry that its name stands for: only the layers that are not there yet.
func (s *Store) Push(ctx context.Context, ref string, o PushOptions) error {
	n, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return invalid("invalid reference format: %s", reason(err))
	}
	if _, ok := n.(reference.Digested); ok {
		return invalid("cannot push a digest reference")
	}
	repo, err := remoteName(n)
	if err != nil {
		return err
	}
	o.Progress.tell(jsonstream.Message{Status: fmt.Sprintf("The push refers to repository [%s]", n.Name())})
	tagged, err := s.tagsOf(ctx, n)
	if err != nil {
		return err
	}
	if !o.AllTags {
		tagged = []reference.Named{reference.TagNameOnly(n)}
	}
	to, err := s.connect(ctx, repo, o.Auth, "push,pull")
	if err != nil {
		return explainPush(err)
	}
	for _, t := range tagged {
		all, err := s.records(ctx)
		if err != nil {
			return err
		}
		rec, err := lookup(all, t.String())
		if err != nil || rec == nil || !slices.Contains(rec.names, t.String()) {
			return notFound("tag does not exist: %s", reference.FamiliarString(t))
		}
		if err := s.pushOne(ctx, to, t, rec, all, o.Progress); err != nil {
			return explainPush(err)
		}
	}
	return nil
}

// tagsOf are the names here that are in a repository.
func (s *Store) tagsOf(ctx context.Context, n reference.Named) ([]reference.Named, error) {
	all, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	var list []reference.Named
	for _, r := range all {
		for _, name := range r.names {
			if t, err := reference.ParseNormalizedNamed(name); err == nil && t.Name() == n.Name() {
				list = append(list, t)
			}
		}
	}
	if len(list) == 0 {
		return nil, notFound("An image does not exist locally with the tag: %s", reference.FamiliarName(n))
	}
	slices.SortFunc(list, func(a, b reference.Named) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return list, nil
}

// upload is one image on its way.
type upload struct {
	*Store
	to       *endpoint
	sources  []reference.Named // repositories of the same registry that may have the layers
	progress Progress
}

func (s *Store) pushOne(ctx context.Context, to *endpoint, n reference.Named, rec *record, all map[string]*record, progress Progress) error {
	img, err := s.image(ctx, rec)
	if err != nil {
		return err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	body, m, err := s.portable(ctx, img)
	if err != nil {
		return err
	}
	u := upload{Store: s, to: to, sources: sourcesOf(all, n), progress: progress}
	if err := u.layers(ctx, m, img.Layers); err != nil {
		return err
	}
	config, err := content.ReadBlob(ctx, s.content, m.Config)
	if err != nil {
		return err
	}
	if err := u.config(ctx, m.Config, config); err != nil {
		return err
	}
	if err := to.putManifest(ctx, tagOf(n), manifestKind(m), body); err != nil {
		return err
	}
	return s.pushed(ctx, n, img, body, progress)
}

// pushed tells and notes what the registry has now.
func (s *Store) pushed(ctx context.Context, n reference.Named, img Image, manifest []byte, progress Progress) error {
	top, size := digest.FromBytes(manifest), len(manifest)
	progress.tell(jsonstream.Message{Status: fmt.Sprintf("%s: digest: %s size: %d", tagOf(n), top, size)})
	aux, err := json.Marshal(struct {
		Tag    string
		Digest string
		Size   int
	}{tagOf(n), top.String(), size})
	if err != nil {
		return err
	}
	raw := json.RawMessage(aux)
	progress.tell(jsonstream.Message{Progress: &jsonstream.Progress{}, Aux: &raw})
	s.tell(events.ActionPush, reference.FamiliarString(n), reference.FamiliarName(n), img.Config)
	digested, err := reference.WithDigest(reference.TrimNamed(n), top)
	if err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	return s.setName(ctx, digested.String(), img.ID, img.Manifest)
}

// portable is an image's manifest with layers that all can be read here: where the layer of the host, or of another image,
// was compressed in another way than the manifest says, it is named as it is.
func (s *Store) portable(ctx context.Context, img Image) ([]byte, ocispec.Manifest, error) {
	var m ocispec.Manifest
	body, err := content.ReadBlob(scoped(ctx), s.content, img.Manifest)
	if err != nil {
		return nil, m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, m, err
	}
	changed := false
	for i, l := range m.Layers {
		if s.hasBlob(ctx, l) {
			continue
		}
		other, ok, err := s.layerBlob(scoped(ctx), img.Layers[i])
		if err != nil {
			return nil, m, err
		}
		if !ok {
			if other, ok, err = s.compressBuilt(ctx, img.Layers[i]); err != nil {
				return nil, m, err
			}
		}
		if !ok {
			return nil, m, fmt.Errorf("layer %s is on this host only unpacked: pull or import the image again", l.Digest)
		}
		m.Layers[i], changed = other, true
	}
	if !changed {
		return body, m, nil
	}
	body, err = json.Marshal(m)
	return body, m, err
}

// sourcesOf are the repositories of the same registry that images here have names of.
func sourcesOf(all map[string]*record, n reference.Named) []reference.Named {
	var list []reference.Named
	for _, r := range all {
		for _, d := range r.digests { // only those have been there
			o, err := reference.ParseNormalizedNamed(d)
			if err != nil || reference.Domain(o) != reference.Domain(n) || o.Name() == n.Name() {
				continue
			}
			if !slices.ContainsFunc(list, func(have reference.Named) bool { return have.Name() == o.Name() }) {
				list = append(list, reference.TrimNamed(o))
			}
		}
	}
	return list
}

func (u *upload) layers(ctx context.Context, m ocispec.Manifest, diffIDs []digest.Digest) error {
	for i := len(diffIDs) - 1; i >= 0; i-- { // the highest first, as Docker lists them
		u.progress.layer(short(diffIDs[i].String()), "Preparing")
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelUploads)
	sent := map[digest.Digest]bool{}
	for i, l := range m.Layers {
		if sent[l.Digest] {
			continue
		}
		sent[l.Digest] = true
		group.Go(func() error { return u.layer(ctx, l, short(diffIDs[i].String())) })
	}
	return group.Wait()
}

// layer sends one layer, if the registry has it nowhere.
func (u *upload) layer(ctx context.Context, l ocispec.Descriptor, id string) error {
	have, err := u.to.hasBlob(ctx, l.Digest)
	if err != nil {
		return err
	}
	if have {
		u.progress.layer(id, "Layer already exists")
		return nil
	}
	for _, from := range u.sources {
		mounted, err := u.to.mountBlob(ctx, l.Digest, reference.Path(from))
		if err != nil {
			return err
		}
		if mounted {
			u.progress.layer(id, "Mounted from "+reference.Path(from))
			return nil
		}
	}
	if err := u.to.uploadBlob(ctx, u.Store, l, id, u.progress); err != nil {
		return err
	}
	u.progress.layer(id, "Pushed")
	return nil
}

func (u *upload) config(ctx context.Context, d ocispec.Descriptor, body []byte) error {
	have, err := u.to.hasBlob(ctx, d.Digest)
	if err != nil || have {
		return err
	}
	return u.to.uploadBytes(ctx, d, body)
}
