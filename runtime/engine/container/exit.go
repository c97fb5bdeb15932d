package container

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
)

// watch waits for the end of a container's run and deals with it, and starts the next one where the restart policy says so.
func (m *Manager) watch(c *Container, r *run) {
	select {
	case <-r.process.Done():
	case <-m.ctx.Done():
		return // the sandbox ends, and with it all of this
	}
	again, remove := m.ended(c, r)
	switch {
	case again != nil:
		m.restartLater(c, again)
	case remove:
		ctx, cancel := context.WithTimeout(m.ctx, cleanupTimeout)
		defer cancel()
		m.warn(c, "container is not removed", m.remove(ctx, c, RemoveOptions{Volumes: true}))
	}
}

// next is a restart that is due.
type next struct {
	after  time.Duration
	cancel <-chan struct{}
}

// ended deals with the end of a run: what it used is given back, its state kept, those who wait told. It returns the restart
// that the policy asks for, or nil, and whether the container is to be removed now.
func (m *Manager) ended(c *Container, r *run) (again *next, remove bool) {
	c.life.Lock()
	defer c.life.Unlock()
	at := time.Now().UTC()
	c.stopHealth(r)
	oom := m.o.Runtime.Cgroups.Killed(r.group) > 0
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), cleanupTimeout)
	defer cancel()
	m.clean(ctx, c, r)
	c.mu.Lock()
	status := r.process.Status()
	s := &c.rec.State
	ran := at.Sub(s.StartedAt)
	again = c.afterEnd(status, ran)
	remove = c.host.AutoRemove && again == nil && !c.restarting
	s.PID, s.Paused, s.OOMKilled, s.ExitCode, s.FinishedAt = 0, false, oom, status.Code, at
	s.Running, s.Restarting = again != nil, again != nil
	c.run, c.hub = nil, nil
	saved := c.save()
	c.mu.Unlock()
	m.warn(c, "state is not kept", saved)
	if oom {
		m.publish(c, events.ActionOOM, nil)
	}
	m.publish(c, events.ActionDie, map[string]string{
		"exitCode": strconv.Itoa(status.Code), "execDuration": strconv.Itoa(int(ran.Seconds())),
	})
	c.mu.Lock()
	c.notify(false)
	c.mu.Unlock()
	close(r.ended)
	return again, remove
}

// clean gives back what a run has used.
func (m *Manager) clean(ctx context.Context, c *Container, r *run) {
	m.warn(c, "control group is not removed", m.o.Runtime.Forget(ctx, c.id, r.group)) // and what still runs there ends
	r.hub.Drain(ctx)
	m.endExecs(ctx, c)
	m.warn(c, "network is not left", m.disconnect(ctx, c))
	m.warn(c, "root is not unmounted", errors.Join(c.unmountRoot(ctx), c.unshareMemory()))
	m.warn(c, "volumes are not left", m.o.Volumes.Stopped(c.id))
	m.warn(c, "bundle is not removed", os.RemoveAll(c.bundle()))
}

// settled is Get for those who ask how a container is: where its process has ended, that has been dealt with. Who has seen the
// last of its output would be told that it runs.
func (m *Manager) settled(ctx context.Context, ref string) (*Container, error) {
	c, err := m.Get(ref)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return c, nil
	}
	select {
	case <-r.process.Done():
	default:
		return c, nil
	}
	select {
	case <-r.ended:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
