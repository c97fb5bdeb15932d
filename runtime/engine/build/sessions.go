package build

import (
	"context"
	"errors"
	"io"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/identity"
	"golang.org/x/sync/errgroup"
)

// BuildSession builds what a client with a session of its own asks for by POST /build: it serves the context there, and takes
// BuildKit's progress as it is.
func (b *Builder) BuildSession(ctx context.Context, r Request, session string, tell func(*controlapi.StatusResponse) error) (id string, err error) {
	c, err := b.Client(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing is lost with it
	attributes, err := r.attributes(b.gateway())
	if err != nil {
		return "", err
	}
	if r.Remote != "" {
		attributes["context"] = r.Remote
	}
	req := &controlapi.SolveRequest{
		Ref: identity.NewID(), Frontend: "dockerfile.v0", FrontendAttrs: attributes, Session: session, Entitlements: r.entitlements(),
		Cache: &controlapi.CacheOptions{},
	}
	for _, e := range r.export() {
		req.Exporters = append(req.Exporters, &controlapi.Exporter{Type: e.Type, Attrs: e.Attrs})
	}
	for _, ref := range r.CacheFrom {
		req.Cache.Imports = append(req.Cache.Imports, &controlapi.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": ref}})
	}
	if v := r.Args["BUILDKIT_INLINE_CACHE"]; v != nil && *v == "1" {
		req.Cache.Exports = append(req.Cache.Exports, &controlapi.CacheOptionsEntry{Type: "inline"})
	}
	return solveSession(ctx, c, req, tell)
}

func solveSession(ctx context.Context, c *client.Client, req *controlapi.SolveRequest, tell func(*controlapi.StatusResponse) error) (id string, err error) {
	status, err := c.ControlClient().Status(context.WithoutCancel(ctx), &controlapi.StatusRequest{Ref: req.Ref})
	if err != nil {
		return "", err
	}
	work, working := errgroup.WithContext(ctx)
	work.Go(func() error {
		answer, err := c.ControlClient().Solve(working, req)
		if err == nil {
			id = answer.ExporterResponse[exptypes.ExporterImageConfigDigestKey]
		}
		return err
	})
	work.Go(func() error {
		for {
			s, err := status.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := tell(s); err != nil {
				return err
			}
		}
	})
	return id, work.Wait()
}
