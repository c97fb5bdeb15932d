package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"berth/runtime/engine/filter"
)

// RemoveOptions say how a container is removed.
type RemoveOptions struct {
	Force   bool // end it where it runs
	Volumes bool // and its anonymous volumes
}

// Remove removes a container.
func (m *Manager) Remove(ctx context.Context, ref string, o RemoveOptions) error {
	c, err := m.settled(ctx, ref)
	if err != nil {
		return err
	}
	if err := m.remove(ctx, c, o); err != nil {
		return fmt.Errorf("cannot remove container %q: %w", ref, err)
	}
	return nil
}

// remove removes a container. What fails leaves it, dead, to be removed again.
func (m *Manager) remove(ctx context.Context, c *Container, o RemoveOptions) error {
	ctx = context.WithoutCancel(ctx)
	if err := c.claim(o.Force); err != nil {
		return err
	}
	if c.Running() {
		if err := m.kill(ctx, c); err != nil && !errdefs.IsConflict(err) {
			c.unclaim(nil)
			return fmt.Errorf("could not kill container: %w", err)
		}
	}
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	s := &c.rec.State
	s.Dead = true // a crash from here on must not bring it back
	err := c.save()
	hub := c.hub
	c.hub = nil
	c.mu.Unlock()
	if hub != nil {
		hub.Close() // who waits for its start waits in vain
	}
	if err = errors.Join(err, m.unmake(ctx, c)); err != nil {
		c.unclaim(err)
		return err
	}
	if o.Volumes {
		m.removeVolumes(c)
	}
	m.drop(c)
	m.publish(c, events.ActionDestroy, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.State.Error = "" // the removal had none
	c.notify(true)
	return nil
}

// claim marks a container as one that is being removed, by one caller alone.
func (c *Container) claim(force bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.rec.State
	switch {
	case s.Removing:
		return conflict("removal of container %s is already in progress", c.rec.Name)
	case s.Running && !force && s.Paused:
		return conflict("container is paused and must be unpaused first")
	case s.Running && !force:
		return conflict("container is %s: stop the container before removing or force remove", s.status())
	}
	s.Removing = true
	return nil
}

func (c *Container) unclaim(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.State.Removing = false
	if why != nil {
		c.rec.State.Error = why.Error()
	}
	c.notify(true) // who waits for the removal learns that it failed
}

// Rename gives a container another name.
func (m *Manager) Rename(ctx context.Context, ref, name string) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	if name == "" {
		return invalid("Neither old nor new names may be empty")
	}
	old := c.Name()
	if "/"+old == name || old == name {
		return invalid("Renaming a container with the same name as its current name")
	}
	name, err = m.reserveName(name, c.id)
	if err != nil {
		return fmt.Errorf("Error when allocating new name: %w", err) //nolint:staticcheck // Docker's words
	}
	c.mu.Lock()
	c.rec.Name = name
	err = c.save()
	c.mu.Unlock()
	m.releaseName(old, c.id)
	m.publish(c, events.ActionRename, map[string]string{"oldName": "/" + old})
	return errors.Join(err, m.o.Networks.Rename(ctx, c.id, name))
}

// Prune removes the containers that do not run: filters until and label.
func (m *Manager) Prune(ctx context.Context, f filter.Args) (api.PruneReport, error) {
	r := api.PruneReport{ContainersDeleted: []string{}}
	if err := f.Only("label", "label!", "until"); err != nil {
		return r, err
	}
	until, err := untilOf(f)
	if err != nil {
		return r, err
	}
	for _, c := range m.all() {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		c.mu.Lock()
		s := c.rec.State
		take := !s.Running && !s.Removing && f.Labels(c.rec.Config.Labels) && (until.IsZero() || c.rec.Created.Before(until))
		c.mu.Unlock()
		if !take {
			continue
		}
		size, _, err := m.o.Images.RootUsage(ctx, c.id)
		if err != nil {
			m.warn(c, "size is not known", err)
		}
		if err := m.remove(ctx, c, RemoveOptions{}); err != nil {
			m.warn(c, "container is not pruned", err)
			continue
		}
		r.ContainersDeleted = append(r.ContainersDeleted, c.id)
		r.SpaceReclaimed += uint64(max(size, 0))
	}
	m.o.Events.Publish(events.ContainerEventType, events.ActionPrune, "", map[string]string{
		"reclaimed": fmt.Sprint(r.SpaceReclaimed),
	})
	return r, nil
}

// untilOf reads the filter until: a duration back from now, or a moment.
func untilOf(f filter.Args) (time.Time, error) {
	values := f.Values("until")
	switch len(values) {
	case 0:
		return time.Time{}, nil
	case 1:
	default:
		return time.Time{}, invalid("more than one until filter specified")
	}
	t, err := moment(values[0], time.Now())
	if err != nil {
		return t, invalid("failed to parse until filter: %v", err)
	}
	return t, nil
}
