package container

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"berth/runtime/engine/process"
)

// Restart stops a container, where it runs, and starts it.
func (m *Manager) Restart(ctx context.Context, ref string, o StopOptions) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	c.mu.Lock()
	busy := c.rec.State.Removing || c.rec.State.Dead
	c.restarting = true // --rm does not remove it now
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.restarting = false
	}()
	if busy {
		return conflict("container is marked for removal and cannot be started")
	}
	if c.Running() {
		if err := m.stop(ctx, c, o); err != nil {
			return err
		}
	}
	if err := m.Start(ctx, c.id); err != nil && !errdefs.IsNotModified(err) {
		return err
	}
	m.publish(c, events.ActionRestart, nil)
	return nil
}

// Bounds on the time between two runs of a restart policy: Docker's.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = time.Minute
	steadyRun    = 10 * time.Second // a run that lasted so long was no failure to start
)

// afterEnd says whether and when the container runs again. c.mu is held.
func (c *Container) afterEnd(status process.Status, ran time.Duration) *next {
	if c.noRestart || !c.wantsRestart(status.Code) {
		return nil
	}
	if ran >= steadyRun || c.backoff == 0 {
		c.backoff = firstBackoff
	} else {
		c.backoff = min(2*c.backoff, maxBackoff)
	}
	c.rec.RestartCount++
	c.cancel = make(chan struct{})
	return &next{c.backoff, c.cancel}
}

// wantsRestart is the restart policy. c.mu is held.
func (c *Container) wantsRestart(code int) bool {
	switch p := &c.host.RestartPolicy; {
	case p.IsAlways():
		return true
	case p.IsUnlessStopped():
		return !c.rec.ManuallyStopped
	case p.IsOnFailure():
		return code != 0 && (p.MaximumRetryCount == 0 || c.rec.RestartCount < p.MaximumRetryCount)
	}
	return false
}

// restartLater starts the container again, unless it is told to stop meanwhile.
func (m *Manager) restartLater(c *Container, n *next) {
	timer := time.NewTimer(n.after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.cancel:
		m.stayDown(c)
		return
	case <-m.ctx.Done():
		return
	}
	c.life.Lock()
	c.mu.Lock()
	stopped := c.noRestart || c.rec.State.Removing || c.rec.State.Dead
	c.cancel = nil
	c.mu.Unlock()
	if stopped {
		c.life.Unlock()
		m.stayDown(c)
		return
	}
	err := m.start(m.ctx, c)
	c.life.Unlock()
	if err != nil {
		m.o.Log.Warn("container does not start again", "container", c.id, "error", err)
	}
}

// stayDown ends the wait for a restart.
func (m *Manager) stayDown(c *Container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = nil
	c.rec.State.Running, c.rec.State.Restarting = false, false
	m.warn(c, "state is not kept", c.save())
	c.notify(false)
}

// resume brings the containers of an earlier sandbox to rest, and starts those whose restart policy says so.
func (m *Manager) resume() {
	for _, c := range m.all() {
		c.mu.Lock()
		s := &c.rec.State
		if s.Running {
			s.Running, s.Paused, s.Restarting, s.PID, s.ExitCode, s.FinishedAt = false, false, false, 0, codeLost, time.Now().UTC()
			m.warn(c, "state is not kept", c.save())
		}
		start := !s.StartedAt.IsZero() && !s.Dead && !s.Removing && c.wantsRestart(s.ExitCode)
		remove := s.Dead || s.Removing || c.host.AutoRemove
		c.mu.Unlock()
		switch {
		case remove:
			m.bg.Go(func() { m.warn(c, "container is not removed", m.remove(m.ctx, c, RemoveOptions{Volumes: true})) })
		case start:
			m.bg.Go(func() {
				c.life.Lock()
				defer c.life.Unlock()
				if !c.Running() && m.ctx.Err() == nil {
					m.warn(c, "container does not start again", m.start(m.ctx, c))
				}
			})
		}
	}
}
