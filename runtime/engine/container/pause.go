package container

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/events"
)

// Pause freezes a container.
func (m *Manager) Pause(ctx context.Context, ref string) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	s := c.rec.State
	c.mu.Unlock()
	switch {
	case !s.Running:
		return notRunning(c)
	case s.Paused:
		return conflict("container %s is already paused", c.id)
	case s.Restarting:
		return conflict("container %s is restarting, wait until the container is running", c.id)
	}
	if err := m.o.Runtime.Pause(context.WithoutCancel(ctx), c.id); err != nil {
		return fmt.Errorf("cannot pause container %s: %w", c.id, err)
	}
	m.setPaused(c, true)
	m.publish(c, events.ActionPause, nil)
	return nil
}

// Unpause lets it go on.
func (m *Manager) Unpause(_ context.Context, ref string) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	c.mu.Lock()
	paused := c.rec.State.Paused
	c.mu.Unlock()
	if !paused {
		return conflict("container %s is not paused", c.id)
	}
	return m.thaw(c)
}

func (m *Manager) thaw(c *Container) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	paused := c.rec.State.Paused
	c.mu.Unlock()
	if !paused {
		return nil
	}
	if err := m.o.Runtime.Resume(m.ctx, c.id); err != nil {
		return fmt.Errorf("cannot unpause container %s: %w", c.id, err)
	}
	m.setPaused(c, false)
	m.publish(c, events.ActionUnPause, nil)
	return nil
}

func (m *Manager) setPaused(c *Container, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.State.Paused = paused
	m.warn(c, "state is not kept", c.save())
}
