package engine

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/api"
	"berth/runtime/engine/build/dockerfile"
)

// Limits of a request.
const (
	maxTags      = 32   // of an image
	maxArguments = 200  // and labels
	maxPath      = 4096 // bytes
)

// buildContext is the directories that a build reads.
type buildContext struct {
	context, dockerfile *os.Root
	filename            string
}

func (c *buildContext) close() {
	_ = c.context.Close()
	_ = c.dockerfile.Close()
}

// openContext opens the directories of a build in the workspace, such that nothing below leads out of it.
func (b *builds) openContext(req *api.BuildRequest) (*buildContext, error) {
	tree := b.host.workspace.files()
	root, err := tree.Root(req.Context)
	if err != nil {
		return nil, fmt.Errorf("the context %s: %w", req.Context, reason(err))
	}
	file := req.Dockerfile
	if !path.IsAbs(file) {
		file = path.Join(req.Context, file)
	}
	dir, err := tree.Root(path.Dir(file))
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("the directory of the Dockerfile, %s: %w", path.Dir(file), reason(err))
	}
	in := &buildContext{context: root, dockerfile: dir, filename: path.Base(file)}
	info, err := dir.Stat(in.filename)
	switch {
	case err != nil:
		err = fmt.Errorf("the Dockerfile %s: %w", file, reason(err))
	case info.IsDir():
		err = fmt.Errorf("%s is a directory, not a Dockerfile: %w", file, errdefs.ErrInvalidArgument)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file: %w", file, errdefs.ErrInvalidArgument)
	case info.Size() > dockerfile.MaxText:
		err = fmt.Errorf("%s is larger than %d KiB: that is no Dockerfile: %w", file, dockerfile.MaxText>>10, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// reason is what the kernel said, without the ways in which it was asked.
func reason(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// validBuild checks a request and puts in what it leaves out.
func validBuild(req *api.BuildRequest) error {
	if !path.IsAbs(req.Context) || len(req.Context) > maxPath || len(req.Dockerfile) > maxPath {
		return invalidBuild("the context is a directory of the workspace: an absolute path")
	}
	req.Context = path.Clean(req.Context)
	if req.Dockerfile == "" {
		req.Dockerfile = "Dockerfile"
	}
	if len(req.Tags) > maxTags {
		return invalidBuild("an image gets at most %d names at a time", maxTags)
	}
	for _, tag := range req.Tags {
		if n, err := reference.ParseNormalizedNamed(tag); err != nil {
			return invalidBuild("%.100q is not a name for an image: %v", tag, err)
		} else if _, digested := n.(reference.Digested); digested {
			return invalidBuild("%.100q has a digest: a name for an image has none", tag)
		}
	}
	if len(req.Args)+len(req.Labels) > maxArguments {
		return invalidBuild("a build takes at most %d arguments and labels", maxArguments)
	}
	for _, m := range []map[string]string{req.Args, req.Labels} {
		if _, empty := m[""]; empty {
			return invalidBuild("an argument has no name")
		}
	}
	return nil
}

func invalidBuild(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}
