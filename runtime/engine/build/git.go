package build

import (
	"context"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	srctypes "github.com/moby/buildkit/source/types"
)

// noGit says what to do in place of a build from a git repository: the engine has no git of its own.
type noGit struct{}

// Schemes is of source.Source.
func (noGit) Schemes() []string { return []string{srctypes.GitScheme} }

// Identifier is of source.Source.
func (noGit) Identifier(_, ref string, _ map[string]string, _ *pb.Platform) (source.Identifier, error) {
	return nil, invalid("building from git repositories is not supported in this playground: git clone %s in the shell, and build the directory", ref)
}

// Resolve is of source.Source.
func (noGit) Resolve(context.Context, source.Identifier, *session.Manager, solver.Vertex) (source.SourceInstance, error) {
	return nil, invalid("building from git repositories is not supported in this playground")
}
