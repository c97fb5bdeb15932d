package build

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/moby/api/types/registry"
	"github.com/tonistiigi/fsutil"
)

// Directory is a build of a directory of the workspace, which the page asks for.
type Directory struct {
	Ref        string    // BuildKit's name of the build
	Context    fsutil.FS // read as far as it is used
	Dockerfile fsutil.FS // the directory of the Dockerfile
	Filename   string    // in that directory
	SharedKey  string    // the same for the same context: only what has changed is read again
	Target     string    // a stage; empty: the last
	Tags       []string  // names of the image
	Args       map[string]string
	Labels     map[string]string
	NoCache    bool
	Auth       map[string]registry.AuthConfig // by registry
	Pull       bool                           // look for newer base images
}

// BuildDirectory builds an image of the session, and waits for it.
func (b *Builder) BuildDirectory(ctx context.Context, r Directory) error {
	c, err := b.Client(ctx)
	if err != nil {
		return fmt.Errorf("reach the builder: %w", err)
	}
	defer c.Close() //nolint:errcheck // a pipe of ours
	attrs := map[string]string{"filename": r.Filename}
	if r.Target != "" {
		attrs["target"] = r.Target
	}
	if r.NoCache {
		attrs["no-cache"] = ""
	}
	if r.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	for k, v := range r.Args {
		attrs["build-arg:"+k] = v
	}
	for k, v := range r.Labels {
		attrs["label:"+k] = v
	}
	_, err = c.Solve(ctx, nil, client.SolveOpt{
		Ref: r.Ref, Frontend: "dockerfile.v0", FrontendAttrs: attrs, SharedKey: r.SharedKey,
		Session:     []session.Attachable{credentials{auth: r.Auth}},
		LocalMounts: map[string]fsutil.FS{"context": r.Context, "dockerfile": r.Dockerfile},
		Exports:     []client.ExportEntry{{Type: exporterMoby, Attrs: map[string]string{"name": strings.Join(r.Tags, ",")}}},
	}, nil)
	return err
}
