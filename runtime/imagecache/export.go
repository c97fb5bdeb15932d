package imagecache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	goruntime "runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// readExport reads what `docker save` or an OCI layout (also inside an archive) holds. name, where given, is what the
// only image of it shall be called.
func readExport(f files, name string) ([]incoming, error) {
	body, err := readDocument(f, "manifest.json")
	switch {
	case err == nil:
		return readDockerSave(f, body, name)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if _, err := readDocument(f, ocispec.ImageLayoutFile); err != nil {
		return nil, fmt.Errorf("neither the output of `docker save` (manifest.json) nor an OCI layout (%s): "+
			"if it is a root file system, say --rootfs", ocispec.ImageLayoutFile)
	}
	body, err = readDocument(f, ocispec.ImageIndexFile)
	if err != nil {
		return nil, err
	}
	return readLayout(f, body, name)
}

// dockerSaved is one element of manifest.json (Docker Image Specification v1.2).
type dockerSaved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func readDockerSave(f files, body []byte, name string) ([]incoming, error) {
	var saved []dockerSaved
	if err := json.Unmarshal(body, &saved); err != nil {
		return nil, fmt.Errorf("manifest.json is damaged: %w", err)
	}
	var images []incoming
	for _, s := range saved {
		config, err := readDocument(f, s.Config)
		if err != nil {
			return nil, err
		}
		names, err := chooseNames(name, s.RepoTags, len(saved))
		if err != nil {
			return nil, err
		}
		in := incoming{names: names, config: config}
		for _, l := range s.Layers {
			in.layers = append(in.layers, incomingLayer{open: opener(f, l)})
		}
		images = append(images, in)
	}
	if len(images) == 0 {
		return nil, errors.New("the archive holds no image")
	}
	return images, nil
}

// chooseNames prefers the caller's name to those that the export has.
func chooseNames(wanted string, found []string, images int) ([]string, error) {
	if wanted != "" {
		if images > 1 {
			return nil, fmt.Errorf("the export holds %d images, and --name fits only one: import it without, or export one", images)
		}
		found = []string{wanted}
	}
	if len(found) == 0 {
		return nil, errors.New("the image has no name in the export: give it one with --name")
	}
	var full []string
	for _, n := range found {
		f, err := normalise(n)
		if err != nil {
			return nil, err
		}
		full = append(full, f)
	}
	return full, nil
}

func opener(f files, name string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		r, _, err := f.open(name)
		return r, err
	}
}

// readLayout follows an OCI index down to the images of this platform.
func readLayout(f files, body []byte, name string) ([]incoming, error) {
	var descriptors []v1.Descriptor
	index, err := v1.ParseIndexManifest(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("index.json is damaged: %w", err)
	}
	for _, d := range index.Manifests {
		if d.Platform == nil || fits(d.Platform) {
			descriptors = append(descriptors, d)
		}
	}
	if len(descriptors) == 0 {
		return nil, fmt.Errorf("the layout has no image for linux/%s", goruntime.GOARCH)
	}
	var images []incoming
	for _, d := range descriptors {
		names, err := chooseNames(name, layoutNames(d), len(descriptors))
		if err != nil {
			return nil, err
		}
		in, err := readManifest(f, d)
		if err != nil {
			return nil, err
		}
		in.names = names
		images = append(images, in)
	}
	return images, nil
}

// layoutNames returns the name in a descriptor's annotations: containerd and `docker save` write the whole reference,
// others only a tag, which is no name.
func layoutNames(d v1.Descriptor) []string {
	if n := d.Annotations["io.containerd.image.name"]; n != "" {
		return []string{n}
	}
	if n := d.Annotations[ocispec.AnnotationRefName]; strings.ContainsAny(n, ":/") {
		return []string{n}
	}
	return nil
}

func fits(p *v1.Platform) bool {
	return p.OS == "linux" && p.Architecture == goruntime.GOARCH
}

const maxIndexDepth = 4 // an index in an index is allowed; a long chain of them is an attack

// readManifest reads the image that a descriptor leads to, with each document's digest checked.
func readManifest(f files, d v1.Descriptor) (incoming, error) {
	for range maxIndexDepth {
		body, err := readBlob(f, d.Digest)
		if err != nil {
			return incoming{}, err
		}
		if !d.MediaType.IsIndex() {
			return manifestOf(f, body)
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(body))
		if err != nil {
			return incoming{}, fmt.Errorf("the index %s is damaged: %w", d.Digest, err)
		}
		found := false
		for _, child := range index.Manifests {
			if child.Platform == nil || fits(child.Platform) {
				d, found = child, true
				break
			}
		}
		if !found {
			return incoming{}, fmt.Errorf("the image is not made for linux/%s", goruntime.GOARCH)
		}
	}
	return incoming{}, fmt.Errorf("more than %d indexes lead to each other", maxIndexDepth)
}

func manifestOf(f files, body []byte) (incoming, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(body))
	if err != nil {
		return incoming{}, fmt.Errorf("the manifest is damaged: %w", err)
	}
	config, err := readBlob(f, manifest.Config.Digest)
	if err != nil {
		return incoming{}, err
	}
	in := incoming{config: config, manifest: body}
	for _, l := range manifest.Layers {
		path, err := blobName(l.Digest)
		if err != nil {
			return incoming{}, err
		}
		in.layers = append(in.layers, incomingLayer{digest: l.Digest.String(), size: l.Size, open: opener(f, path)})
	}
	return in, nil
}

func blobName(h v1.Hash) (string, error) {
	if !digestPattern.MatchString(h.String()) {
		return "", fmt.Errorf("%q is not a sha256 digest", h)
	}
	return "blobs/sha256/" + h.Hex, nil
}

func readBlob(f files, h v1.Hash) ([]byte, error) {
	name, err := blobName(h)
	if err != nil {
		return nil, err
	}
	body, err := readDocument(f, name)
	if err != nil {
		return nil, err
	}
	if got := digestOf(body); got != h.String() {
		return nil, fmt.Errorf("%s is damaged: its digest is %s", name, got)
	}
	return body, nil
}
