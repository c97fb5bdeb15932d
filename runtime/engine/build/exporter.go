package build

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/exporter"
	imageexporter "github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/progress"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// exporterMoby is what clients ask for when a build's result shall be an image of the engine.
const exporterMoby = "moby"

// imageExporter makes images of the session. BuildKit's own exporter writes manifest and config, and pushes where that is asked.
type imageExporter struct {
	exporter.Exporter
	w *localWorker
}

func newImageExporter(w *localWorker, sm *session.Manager) (exporter.Exporter, error) {
	inner, err := imageexporter.New(imageexporter.Opt{
		SessionManager: sm, ImageWriter: w.writer, RegistryHosts: w.RegistryHosts, LeaseManager: w.LeaseManager(),
	})
	return &imageExporter{inner, w}, err
}

// Resolve is of exporter.Exporter.
func (e *imageExporter) Resolve(ctx context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	names, err := imageNames(attrs[string(exptypes.OptKeyName)])
	if err != nil {
		return nil, err
	}
	given := map[string]string{}
	for k, v := range attrs {
		given[k] = v
	}
	given[string(exptypes.OptKeyName)] = strings.Join(names, ",")
	delete(given, string(exptypes.OptKeyUnpack)) // it is always
	inner, err := e.Exporter.Resolve(ctx, id, given)
	if err != nil {
		return nil, err
	}
	return &imageExport{ExporterInstance: inner, w: e.w, names: names, attrs: attrs, store: attrs[string(exptypes.OptKeyStore)] != "false"}, nil
}

// imageNames are full references of a list of names.
func imageNames(list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}
		n, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return nil, invalid("invalid reference format: %q", name)
		}
		if _, ok := n.(reference.Digested); ok {
			return nil, invalid("refusing to create a tag with a digest reference: %q", name)
		}
		names = append(names, reference.TagNameOnly(n).String())
	}
	return names, nil
}

// imageExport is one export.
type imageExport struct {
	exporter.ExporterInstance
	w     *localWorker
	names []string
	attrs map[string]string
	store bool
}

// Attrs is of exporter.ExporterInstance.
func (e *imageExport) Attrs() map[string]string { return e.attrs }

// Export is of exporter.ExporterInstance. The digest that it tells is the image's ID, as in classic Docker.
func (e *imageExport) Export(
	ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo,
) (_ map[string]string, _ exporter.FinalizeFunc, _ exporter.DescriptorReference, err error) {
	defer guard(e.w.o.Log, &err)
	if len(src.Refs) > 1 {
		return nil, nil, nil, invalid("this playground keeps images of one platform: build them one by one, or with --output type=oci")
	}
	if !e.store {
		return e.ExporterInstance.Export(ctx, src, info)
	}
	plan, err := e.plan(ctx, src, info)
	if err != nil {
		return nil, nil, nil, err
	}
	answer, finish, ref, err := e.ExporterInstance.Export(ctx, plan.source, info)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = ref.Release() // the error is told already
		}
	}()
	id, err := e.add(ctx, plan, ref.Descriptor())
	if err != nil {
		return nil, nil, nil, err
	}
	answer[exptypes.ExporterImageDigestKey], answer[exptypes.ExporterImageConfigDigestKey] = id, id
	return answer, finish, ref, nil
}

// add makes what has been written an image of the session.
func (e *imageExport) add(ctx context.Context, plan plan, desc ocispec.Descriptor) (id string, err error) {
	ctx, release, err := e.w.o.Images.Hold(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	built, config, layers, err := e.read(ctx, desc)
	if err != nil {
		return "", err
	}
	unpacked := progress.OneOff(ctx, "writing image "+config.String())
	err = e.unpack(ctx, plan, layers)
	if err := unpacked(err); err != nil {
		return "", err
	}
	built.Names = e.names
	img, err := e.w.o.Images.AddBuilt(ctx, built)
	for _, n := range e.names {
		err = progress.OneOff(ctx, "naming to "+n)(err)
	}
	return img.ID, err
}

// theRef is the only result of a build, nil for one without files.
func theRef(src *exporter.Source) cache.ImmutableRef {
	for _, r := range src.Refs {
		return r
	}
	return src.Ref
}

// read reads what the exporter has written. Of an index with attestations it takes the image.
func (e *imageExport) read(ctx context.Context, desc ocispec.Descriptor) (b image.Built, config digest.Digest, layers []ocispec.Descriptor, err error) {
	store := e.w.ContentStore()
	body, err := content.ReadBlob(ctx, store, desc)
	if err != nil {
		return b, "", nil, err
	}
	if images.IsIndexType(desc.MediaType) {
		var x ocispec.Index
		if err := json.Unmarshal(body, &x); err != nil {
			return b, "", nil, err
		}
		for _, m := range x.Manifests {
			if m.Platform == nil || m.Platform.OS != "unknown" {
				return e.read(ctx, m)
			}
		}
		return b, "", nil, fmt.Errorf("no image in the index %s", desc.Digest)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return b, "", nil, err
	}
	b.Manifest, b.Kind = body, desc.MediaType
	if b.Config, err = content.ReadBlob(ctx, store, m.Config); err != nil {
		return b, "", nil, err
	}
	var c ocispec.Image
	if err := json.Unmarshal(b.Config, &c); err != nil {
		return b, "", nil, err
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return b, "", nil, fmt.Errorf("the manifest has %d layers, the config %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	for i, l := range m.Layers {
		l.Annotations = map[string]string{image.LabelUncompressed: c.RootFS.DiffIDs[i].String()}
		layers = append(layers, l)
	}
	return b, m.Config.Digest, layers, nil
}
