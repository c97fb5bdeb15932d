package container

import (
	"context"
	"errors"
	"io"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/files"
	"berth/runtime/engine/image"
)

// Export writes a container's files, without its volumes, as a tar.
func (m *Manager) Export(ctx context.Context, ref string, begin func() io.Writer) (err error) {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	root, done, err := c.MountRoot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := files.At(root).WriteTar("/", begin()); err != nil {
		return err
	}
	m.publish(c, events.ActionExport, nil)
	return nil
}

// ChangedFiles lists what a container has changed of its image's files, by path.
func (m *Manager) ChangedFiles(ctx context.Context, ref string) ([]image.Change, error) {
	c, err := m.Get(ref)
	if err != nil {
		return nil, err
	}
	return m.o.Images.Changes(ctx, c.id)
}

// Changes is ChangedFiles as Docker's API tells it.
func (m *Manager) Changes(ctx context.Context, ref string) ([]api.FilesystemChange, error) {
	list, err := m.ChangedFiles(ctx, ref)
	if err != nil {
		return nil, err
	}
	out := make([]api.FilesystemChange, len(list))
	for i, change := range list {
		out[i] = api.FilesystemChange{Kind: api.ChangeType(change.Kind), Path: change.Path}
	}
	return out, nil
}

// CommitOptions say what image is made of a container.
type CommitOptions struct {
	Repo, Tag, Author, Comment string
	Changes                    []string    // instructions of a Dockerfile
	Config                     *api.Config // over the container's; nil: that alone
	Pause                      bool        // freeze the container meanwhile
}

// Commit makes an image of a container.
func (m *Manager) Commit(ctx context.Context, ref string, o CommitOptions) (_ image.Image, err error) {
	c, err := m.Get(ref)
	if err != nil {
		return image.Image{}, err
	}
	c.mu.Lock()
	s, config := c.rec.State, *c.rec.Config
	c.mu.Unlock()
	if s.Removing || s.Dead {
		return image.Image{}, conflict("You cannot commit container %s which is %s", c.id, s.status())
	}
	if o.Pause && s.Running && !s.Paused && !s.Restarting {
		if err := m.Pause(ctx, c.id); err != nil {
			return image.Image{}, err
		}
		defer func() { err = errors.Join(err, m.thaw(c)) }()
	}
	if o.Config != nil {
		if config, err = mergeConfigs(*o.Config, config); err != nil {
			return image.Image{}, err
		}
	}
	made, err := m.o.Images.Commit(ctx, c.id, image.CommitOptions{
		Repo: o.Repo, Tag: o.Tag, Author: o.Author, Comment: o.Comment, Changes: o.Changes, Container: c.id, Config: imageConfig(config),
	})
	if err != nil {
		return made, err
	}
	m.publish(c, events.ActionCommit, map[string]string{"comment": o.Comment, "imageID": made.ID, "imageRef": o.Repo})
	return made, nil
}

// mergeConfigs completes a configuration with another's.
func mergeConfigs(over, under api.Config) (api.Config, error) {
	return over, merge(&over, *imageConfig(under))
}

// imageConfig is the part of a container's configuration that an image has.
func imageConfig(c api.Config) *dockerspec.DockerOCIImageConfig {
	i := &dockerspec.DockerOCIImageConfig{
		ImageConfig: ocispec.ImageConfig{
			User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Volumes: c.Volumes, WorkingDir: c.WorkingDir,
			Labels: c.Labels, StopSignal: c.StopSignal,
		},
		DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{Healthcheck: c.Healthcheck, OnBuild: c.OnBuild, Shell: c.Shell},
	}
	for p := range c.ExposedPorts {
		if i.ExposedPorts == nil {
			i.ExposedPorts = map[string]struct{}{}
		}
		i.ExposedPorts[p.String()] = struct{}{}
	}
	return i
}
