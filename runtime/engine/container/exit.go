package container

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"

	"berth/runtime/engine/process"
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
