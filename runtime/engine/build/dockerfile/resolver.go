package dockerfile

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"sync"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// resolver answers for base images from what the session has. Of others it says only that they would fit: a look at a text
// asks no registry.
type resolver struct {
	images Images

	mu    sync.Mutex
	known map[string]bool // by the reference as BuildKit writes it
}

// ResolveImageConfig is of sourceresolver.ImageMetaResolver.
func (r *resolver) ResolveImageConfig(ctx context.Context, ref string, o sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	var config []byte
	err := error(nil)
	if r.images != nil {
		config, err = r.images.ImageConfig(ctx, ref)
	}
	found := err == nil && len(config) > 0
	r.mu.Lock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[ref] = found
	r.mu.Unlock()
	if found {
		return ref, "", config, nil
	}
	platform := ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if o.ImageOpt != nil && o.ImageOpt.Platform != nil {
		platform = *o.ImageOpt.Platform
	}
	config, err = json.Marshal(ocispec.Image{
		Platform: platform,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}}, // else it would count as scratch
	})
	return ref, "", config, err
}

// blind tells in which lines variables may come from a base image that nobody here knows.
func (r *resolver) blind(stages []instructions.Stage) func(line int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := true
	for _, found := range r.known {
		all = all && found
	}
	if all {
		return func(int) bool { return false }
	}
	unknown := make([]bool, len(stages))
	for i, s := range stages {
		unknown[i] = !r.knows(s.BaseName)
		for j := range i {
			if strings.EqualFold(stages[j].Name, s.BaseName) && s.BaseName != "" {
				unknown[i] = unknown[j]
			}
		}
	}
	return func(line int) bool {
		at := false
		for i, s := range stages {
			if first, _ := ranges(s.Location); first <= line {
				at = unknown[i]
			}
		}
		return at
	}
}

// knows reports whether a base image is one of the session's: the name may be short, or hold arguments.
func (r *resolver) knows(base string) bool {
	if base == "scratch" {
		return true
	}
	for ref, found := range r.known {
		if found && (ref == base || strings.HasSuffix(ref, "/"+base) || strings.HasSuffix(ref, "/"+base+":latest")) {
			return true
		}
	}
	return false
}
