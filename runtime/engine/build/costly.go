package build

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/result"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/build/dockerfile"
)

// guarded has a frontend refuse a Dockerfile that would cost more memory than the sandbox has: the frontend runs in its first
// process, and a few lines of ENV A=$A$A end that.
func guarded(build client.BuildFunc) client.BuildFunc {
	return func(ctx context.Context, c client.Client) (*client.Result, error) {
		name := c.BuildOpts().Opts["filename"]
		if name == "" {
			name = dockerui.DefaultDockerfileName
		}
		res, err := build(ctx, guardedClient{c, path.Base(name)})
		if err != nil {
			return nil, err
		}
		return result.ConvertResult(res, func(r client.Reference) (client.Reference, error) {
			if g, ok := r.(guardedRef); ok {
				return g.Reference, nil
			}
			return r, nil
		})
	}
}

type guardedClient struct {
	client.Client
	name string // of the Dockerfile
}

// Solve is of client.Client.
func (c guardedClient) Solve(ctx context.Context, req client.SolveRequest) (*client.Result, error) {
	res, err := c.Client.Solve(ctx, req)
	if err != nil {
		return nil, err
	}
	return result.ConvertResult(res, func(r client.Reference) (client.Reference, error) {
		if r == nil {
			return nil, nil //nolint:nilnil // a result without files
		}
		return guardedRef{r, c.name}, nil
	})
}

// ResolveImageConfig is of client.Client. What a base image has to be done ON BUILD is a Dockerfile too.
func (c guardedClient) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	name, dgst, config, err := c.Client.ResolveImageConfig(ctx, ref, opt)
	if err != nil {
		return name, dgst, config, err
	}
	var image dockerspec.DockerOCIImage
	if json.Unmarshal(config, &image) == nil && len(image.Config.OnBuild) > 0 {
		triggers := "FROM scratch\n" + strings.Join(image.Config.OnBuild, "\n") + "\n"
		if err := dockerfile.Guard([]byte(triggers)); errdefs.IsInvalidArgument(err) {
			return "", "", nil, fmt.Errorf("the ONBUILD instructions of %s: %w", ref, err)
		}
	}
	return name, dgst, config, nil
}

type guardedRef struct {
	client.Reference
	name string
}

// ReadFile is of client.Reference.
func (r guardedRef) ReadFile(ctx context.Context, req client.ReadRequest) ([]byte, error) {
	text, err := r.Reference.ReadFile(ctx, req)
	if err != nil || !strings.EqualFold(path.Base(req.Filename), r.name) {
		return text, err
	}
	if err := dockerfile.Guard(text); errdefs.IsInvalidArgument(err) { // the parser's errors are the frontend's to tell
		return nil, err
	}
	return text, nil
}
