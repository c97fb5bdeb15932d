package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// selected is an image to be saved, with the names that it is saved under.
type selected struct {
	Image
	tags []string // familiar
}

// Save writes images as one archive that `docker load` of any version reads, and every tool that reads OCI layouts. A name
// without a tag stands for all tags of the repository.
func (s *Store) Save(ctx context.Context, refs []string, w io.Writer) error {
	list, err := s.selectImages(ctx, refs)
	if err != nil {
		return err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	a := &saver{Store: s, tar: tar.NewWriter(w), done: map[digest.Digest]bool{}, repositories: map[string]map[string]string{}}
	for _, img := range list {
		if err := a.image(ctx, img); err != nil {
			return fmt.Errorf("save %s: %w", short(img.ID), err)
		}
		s.tell(events.ActionSave, img.ID, img.ID, img.Config)
	}
	return a.finish()
}

func (s *Store) selectImages(ctx context.Context, refs []string) ([]selected, error) {
	var list []selected
	add := func(img Image, tags ...string) {
		at := slices.IndexFunc(list, func(o selected) bool { return o.ID == img.ID })
		if at < 0 {
			list, at = append(list, selected{Image: img}), len(list)
		}
		for _, t := range tags {
			if !slices.Contains(list[at].tags, t) {
				list[at].tags = append(list[at].tags, t)
			}
		}
	}
	for _, ref := range refs {
		img, err := s.local(ctx, ref)
		n, nameErr := reference.ParseNormalizedNamed(ref)
		switch {
		case nameErr == nil && reference.IsNameOnly(n) && (err != nil || slices.Contains(img.Names, familiar(reference.TagNameOnly(n).String()))):
			all, listErr := s.List(ctx)
			if listErr != nil {
				return nil, listErr
			}
			before := len(list)
			for _, o := range all {
				for _, t := range o.Names {
					if repository(t) == reference.FamiliarName(n) {
						add(o, t)
					}
				}
			}
			if len(list) == before && err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case nameErr == nil && slices.Contains(img.Names, familiar(reference.TagNameOnly(n).String())):
			add(img, familiar(reference.TagNameOnly(n).String()))
		default: // an ID or a digest: no name is saved
			add(img)
		}
	}
	return list, nil
}

// repository is a name without its tag.
func repository(name string) string { return name[:strings.LastIndexByte(name, ':')] }

// saver writes one archive.
type saver struct {
	*Store
	tar          *tar.Writer
	done         map[digest.Digest]bool
	index        []ocispec.Descriptor
	manifests    []savedManifest
	repositories map[string]map[string]string
}

// savedManifest is one element of manifest.json (Docker Image Specification v1.2).
type savedManifest struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[digest.Digest]ocispec.Descriptor `json:",omitempty"`
}

func (a *saver) image(ctx context.Context, img selected) error {
	body, m, err := a.portable(ctx, img.Image)
	if err != nil {
		return err
	}
	top := ocispec.Descriptor{MediaType: manifestKind(m), Digest: digest.FromBytes(body), Size: int64(len(body))}
	saved := savedManifest{Config: blobPath(m.Config.Digest), RepoTags: img.tags, LayerSources: map[digest.Digest]ocispec.Descriptor{}}
	for i, l := range m.Layers {
		saved.Layers = append(saved.Layers, blobPath(l.Digest))
		saved.LayerSources[img.Layers[i]] = l
	}
	if err := a.document(blobPath(top.Digest), body); err != nil {
		return err
	}
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := a.blob(ctx, d); err != nil {
			return err
		}
	}
	a.manifests = append(a.manifests, saved)
	if len(img.tags) == 0 {
		a.index = append(a.index, top)
	}
	for _, t := range img.tags {
		full, err := parseTag(t, "")
		if err != nil {
			return err
		}
		at := strings.LastIndexByte(t, ':')
		repo, tag := t[:at], t[at+1:]
		d := top
		d.Annotations = map[string]string{images.AnnotationImageName: full, ocispec.AnnotationRefName: tag}
		a.index = append(a.index, d)
		if a.repositories[repo] == nil {
			a.repositories[repo] = map[string]string{}
		}
		a.repositories[repo][tag] = digest.Digest(img.ID).Encoded()
	}
	return nil
}

// blob copies one blob, once.
func (a *saver) blob(ctx context.Context, d ocispec.Descriptor) error {
	if a.done[d.Digest] {
		return nil
	}
	a.done[d.Digest] = true
	r, err := a.openBlob(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := a.header(blobPath(d.Digest), d.Size); err != nil {
		return err
	}
	n, err := io.Copy(a.tar, io.LimitReader(cancelled{ctx, r}, d.Size))
	if err == nil && n < d.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (a *saver) header(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	})
}

func (a *saver) document(name string, b []byte) error {
	if err := a.header(name, int64(len(b))); err != nil {
		return err
	}
	_, err := a.tar.Write(b)
	return err
}

func (a *saver) finish() error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: a.index}
	for _, doc := range []struct {
		name string
		v    any
	}{
		{ocispec.ImageIndexFile, index},
		{"manifest.json", a.manifests},
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{"repositories", a.repositories},
	} {
		b, err := json.Marshal(doc.v)
		if err != nil {
			return err
		}
		if err := a.document(doc.name, b); err != nil {
			return err
		}
	}
	return a.tar.Close()
}
