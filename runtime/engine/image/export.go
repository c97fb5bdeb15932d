package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	goruntime "runtime"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxDocument = 8 << 20 // bytes of a manifest, an index or a config; registries allow 4 MiB
	maxMembers  = 20_000  // of an archive of images: a layer and a blob or two for each
	maxIndexes  = 4       // that lead to each other: one is usual
)

// members are the files of an archive that can be read at any place.
type members struct {
	file *os.File
	at   map[string]member
}

type member struct {
	offset, size int64
	link         string // the member that it stands for: `docker save` before 25 wrote layers it had already so
}

// spool copies an archive, decompressed, to the session's disk, and reads its table of contents. Close it.
func (s *Store) spool(ctx context.Context, r io.Reader) (*members, error) {
	plain, err := decompress(cancelled{ctx, r})
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	f, err := os.CreateTemp(s.Dir, "load-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // it goes with its last descriptor
		return nil, errors.Join(err, f.Close())
	}
	if _, err := io.Copy(f, plain); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m := &members{file: f, at: map[string]member{}}
	if err := m.read(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// cancelled is a reader that ends with a context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

func (m *members) read() error {
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tr := tar.NewReader(m.file)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return invalid("invalid tar archive: %s", err)
		}
		if n == maxMembers {
			return invalid("invalid archive: it has more than %d entries, and is no image", maxMembers)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := m.file.Seek(0, io.SeekCurrent) // archive/tar reads exactly the header
			if err != nil {
				return err
			}
			m.at[name] = member{offset: at, size: h.Size}
		case tar.TypeSymlink:
			m.at[name] = member{link: path.Join(path.Dir(name), h.Linkname)} //nolint:gosec // a key of the map, no path of ours
		case tar.TypeLink:
			m.at[name] = member{link: path.Clean(h.Linkname)}
		}
	}
}

func (m *members) open(name string) (*io.SectionReader, error) {
	f, ok := m.at[path.Clean(name)]
	if ok && f.link != "" {
		f, ok = m.at[f.link]
	}
	if !ok || f.link != "" {
		return nil, &classified{message: "invalid archive: " + name + " is missing", class: errdefs.ErrInvalidArgument, cause: fs.ErrNotExist}
	}
	return io.NewSectionReader(m.file, f.offset, f.size), nil
}

func (m *members) document(name string) ([]byte, error) {
	r, err := m.open(name)
	if err != nil {
		return nil, err
	}
	if r.Size() > maxDocument {
		return nil, invalid("invalid archive: %s is %d bytes long, and the most is %d", name, r.Size(), maxDocument)
	}
	return io.ReadAll(r)
}

func (m *members) Close() error { return m.file.Close() }

// exported is one image of an archive.
type exported struct {
	names    []string // full
	config   []byte
	manifest []byte // nil where there is none to keep
	kind     string
	layers   []exportedLayer
}

type exportedLayer struct {
	path  string
	exact *ocispec.Descriptor // nil: as it comes
}

// images reads what `docker save` or an OCI layout holds.
func (m *members) images() ([]exported, error) {
	body, err := m.document("manifest.json")
	if err == nil {
		return m.dockerSaved(body)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if body, err = m.document(ocispec.ImageIndexFile); err != nil {
		return nil, invalid("invalid archive: neither manifest.json nor %s is in it: a root file system is for docker import", ocispec.ImageIndexFile)
	}
	return m.layout(body)
}

func (m *members) dockerSaved(body []byte) ([]exported, error) {
	var saved []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(body, &saved); err != nil {
		return nil, invalid("invalid archive: manifest.json: %s", err)
	}
	var list []exported
	for _, s := range saved {
		config, err := m.document(s.Config)
		if err != nil {
			return nil, err
		}
		e := exported{config: config}
		for _, t := range s.RepoTags {
			full, err := parseTag(t, "")
			if err != nil {
				return nil, err
			}
			e.names = append(e.names, full)
		}
		for _, l := range s.Layers {
			e.layers = append(e.layers, exportedLayer{path: l})
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, invalid("invalid archive: it holds no image")
	}
	return list, nil
}

func (m *members) layout(body []byte) ([]exported, error) {
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, invalid("invalid archive: %s: %s", ocispec.ImageIndexFile, err)
	}
	var list []exported
	for _, d := range index.Manifests {
		if !fits(d.Platform) {
			continue
		}
		e, err := m.follow(d)
		if err != nil {
			return nil, err
		}
		if n := layoutName(d); n != "" {
			full, err := parseTag(n, "")
			if err != nil {
				return nil, err
			}
			e.names = append(e.names, full)
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, notFound("the archive has no image for linux/%s", goruntime.GOARCH)
	}
	return list, nil
}

// layoutName is the name in a descriptor's annotations; a bare tag is none.
func layoutName(d ocispec.Descriptor) string {
	if n := d.Annotations[images.AnnotationImageName]; n != "" {
		return n
	}
	if n := d.Annotations[ocispec.AnnotationRefName]; strings.ContainsAny(n, ":/") {
		return n
	}
	return ""
}

func fits(p *ocispec.Platform) bool {
	return p == nil || p.OS == "linux" && p.Architecture == goruntime.GOARCH
}

// follow reads the image that a descriptor leads to.
func (m *members) follow(d ocispec.Descriptor) (exported, error) {
	for range maxIndexes {
		body, err := m.blob(d)
		if err != nil {
			return exported{}, err
		}
		if !images.IsIndexType(d.MediaType) {
			return m.manifest(d, body)
		}
		var index ocispec.Index
		if err := json.Unmarshal(body, &index); err != nil {
			return exported{}, invalid("invalid archive: %s: %s", d.Digest, err)
		}
		found := false
		for _, child := range index.Manifests {
			if fits(child.Platform) && !found {
				d, found = child, true
			}
		}
		if !found {
			return exported{}, notFound("the archive has no image for linux/%s", goruntime.GOARCH)
		}
	}
	return exported{}, invalid("invalid archive: more than %d indexes lead to each other", maxIndexes)
}

func (m *members) manifest(d ocispec.Descriptor, body []byte) (exported, error) {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return exported{}, invalid("invalid archive: %s: %s", d.Digest, err)
	}
	config, err := m.blob(manifest.Config)
	if err != nil {
		return exported{}, err
	}
	e := exported{config: config, manifest: body, kind: manifestKind(manifest)}
	for _, l := range manifest.Layers {
		if err := l.Digest.Validate(); err != nil {
			return exported{}, invalid("invalid archive: %s", err)
		}
		e.layers = append(e.layers, exportedLayer{path: blobPath(l.Digest), exact: &l})
	}
	return e, nil
}

func blobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// blob reads a document by its digest.
func (m *members) blob(d ocispec.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, invalid("invalid archive: %s", err)
	}
	body, err := m.document(blobPath(d.Digest))
	if err == nil && d.Digest.Algorithm().FromBytes(body) != d.Digest {
		return nil, invalid("invalid archive: %s is damaged", d.Digest)
	}
	return body, err
}
