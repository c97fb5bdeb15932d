package container

import (
	"context"
	"errors"
	"io/fs"
	"os"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/moby/moby/api/types/events"
	apimount "github.com/moby/moby/api/types/mount"

	"berth/runtime/engine/files"
)

// OpenFiles opens the container's files as its processes see them or, where none runs, with its volumes as they would. Call
// done when they are not used any more: a container that does not run can be started only then.
func (c *Container) OpenFiles(ctx context.Context) (tree *files.Tree, done func() error, err error) {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r != nil {
		view, err := files.Enter(r.process.PID)
		if err != nil {
			return nil, nil, err
		}
		select {
		case <-r.process.Done(): // it may have been another process's, or nobody's
			view.Close()
		default:
			return view.Tree, func() error { view.Close(); return nil }, nil
		}
	}
	root, unmount, err := c.MountRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	view, err := c.assemble(root)
	if err != nil {
		return nil, nil, errors.Join(err, unmount())
	}
	return view.Tree, func() error {
		view.Close()
		return errors.Join(c.manager.o.Volumes.Stopped(c.id), unmount())
	}, nil
}

// assemble mounts the container's volumes and binds over its root. What the workspace does not have any more is left out.
func (c *Container) assemble(root string) (*files.View, error) {
	c.mu.Lock()
	mounts, readOnly := c.rec.Mounts, c.host.ReadonlyRootfs
	c.mu.Unlock()
	var list []files.Mount
	for _, p := range mounts {
		from, err := c.manager.sourceOf(c, p)
		if errors.Is(err, fs.ErrNotExist) || from == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, files.Mount{Source: from, Destination: p.Destination, ReadOnly: !p.RW})
	}
	return files.Assemble(root, readOnly, list)
}

// sourceOf is what a mount would bring; "" for what has no files before the start.
func (m *Manager) sourceOf(c *Container, p *mountPoint) (from string, err error) {
	switch p.Type {
	case apimount.TypeVolume:
		from, err = m.o.Volumes.Use(p.Name, c.id)
		if o := p.Spec.VolumeOptions; err == nil && o != nil && o.Subpath != "" {
			from, err = securejoin.SecureJoin(from, o.Subpath)
		}
	case apimount.TypeBind:
		from, err = m.HostPath(p.Source)
	default:
		return "", nil
	}
	if err == nil {
		_, err = os.Stat(from)
	}
	return from, err
}

// Publish tells those who listen to events.
func (c *Container) Publish(action events.Action) { c.manager.publish(c, action, nil) }
