package build

import (
	"context"
	"maps"
	"strings"

	"github.com/distribution/reference"
	bkexecutor "github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"

	"berth/runtime/engine/build/watch"
)

// builtIn are the repositories of the images whose work our own frontend does.
const builtIn = "docker.io/docker/dockerfile"

func frontends(workers worker.Infos, see *watch.Watcher) map[string]frontend.Frontend {
	own := forwarder.NewGatewayForwarder(workers, guarded(dockerfile.Build))
	if see != nil {
		own = see.Frontend(own)
	}
	return map[string]frontend.Frontend{"dockerfile.v0": own, "gateway.v0": gateway{own}}
}

// gateway takes what names a frontend's image, in `# syntax=` or BUILDKIT_SYNTAX. BuildKit would fetch and run that.
type gateway struct{ dockerfile frontend.Frontend }

// Solve is of frontend.Frontend.
func (g gateway) Solve(
	ctx context.Context, llb frontend.FrontendLLBBridge, exec bkexecutor.Executor, opt map[string]string,
	inputs map[string]*pb.Definition, sid string, sm *session.Manager,
) (*frontend.Result, error) {
	source := opt[frontend.KeySource]
	if !isDockerfile(source) {
		return nil, invalid("the frontend %q cannot be used in this playground: it has docker/dockerfile built in, write # syntax=docker/dockerfile:1 "+
			"or leave the line out", source)
	}
	own := maps.Clone(opt)
	if own["cmdline"] == "" { // or the frontend would read the line again, and come back here
		own["cmdline"] = source
	}
	return g.dockerfile.Solve(ctx, llb, exec, own, inputs, sid, sm)
}

// isDockerfile reports whether an image is Docker's frontend of Dockerfiles, of whatever channel and version.
func isDockerfile(source string) bool {
	image, _, _ := strings.Cut(strings.TrimSpace(source), " ") // arguments for the frontend may follow
	n, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false
	}
	return n.Name() == builtIn || n.Name() == builtIn+"-upstream"
}
