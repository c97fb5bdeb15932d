package container

import (
	"context"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// Docker's defaults for health checks, and its bounds on what is kept.
const (
	probeInterval      = 30 * time.Second
	probeTimeout       = 30 * time.Second
	probeStartInterval = 5 * time.Second
	probeRetries       = 3
	probeOutput        = 4096 // bytes
	probeResults       = 5
)

// Exit codes of a probe.
const (
	probeHealthy = 0
	probeFailed  = -1 // it could not be run, or took too long
)

// monitor runs a container's health checks.
type monitor struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// probeOf is the command of a health check, nil where there is none.
func probeOf(c *api.Config) []string {
	h := c.Healthcheck
	if h == nil || len(h.Test) == 0 {
		return nil
	}
	switch h.Test[0] {
	case "CMD":
		return h.Test[1:]
	case "CMD-SHELL":
		shell := c.Shell
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		return append(append([]string{}, shell...), h.Test[1:]...)
	}
	return nil
}

// startHealth begins the health checks of a run. c.mu is held.
func (m *Manager) startHealth(c *Container, r *run) {
	probe := probeOf(c.rec.Config)
	if len(probe) == 0 {
		return
	}
	c.rec.State.Health = &api.Health{Status: api.Starting, Log: []*api.HealthcheckResult{}}
	ctx, cancel := context.WithCancel(m.ctx)
	r.health = &monitor{cancel, make(chan struct{})}
	h := *c.rec.Config.Healthcheck
	m.bg.Go(func() {
		defer close(r.health.done)
		m.checkHealth(ctx, c, r, h, probe)
	})
}

// stopHealth ends them, and waits for it.
func (c *Container) stopHealth(r *run) {
	if r.health != nil {
		r.health.cancel()
		<-r.health.done
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// checkHealth probes until ctx ends.
func (m *Manager) checkHealth(ctx context.Context, c *Container, r *run, h api.HealthConfig, probe []string) {
	interval, timeout := orDefault(h.Interval, probeInterval), orDefault(h.Timeout, probeTimeout)
	starting := orDefault(h.StartInterval, probeStartInterval)
	began := time.Now()
	next := func() time.Duration {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.rec.State.Health.Status == api.Starting && h.StartPeriod > 0 && time.Since(began) < h.StartPeriod {
			return min(starting, interval)
		}
		return interval
	}
	timer := time.NewTimer(next())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if !c.isPaused() {
			result := m.probe(ctx, c, r, probe, timeout)
			if ctx.Err() != nil {
				return
			}
			m.noteHealth(c, h, result, time.Since(began) < h.StartPeriod)
		}
		timer.Reset(next())
	}
}

func (c *Container) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.State.Paused
}

// noteHealth keeps a result, and tells when the status changes.
func (m *Manager) noteHealth(c *Container, conf api.HealthConfig, r *api.HealthcheckResult, grace bool) {
	retries := conf.Retries
	if retries <= 0 {
		retries = probeRetries
	}
	c.mu.Lock()
	if c.rec.State.Health == nil {
		c.mu.Unlock()
		return
	}
	h := copyHealth(c.rec.State.Health) // readers may have the old one
	before := h.Status
	h.Log = append(h.Log, r)
	if len(h.Log) > probeResults {
		h.Log = h.Log[len(h.Log)-probeResults:]
	}
	switch {
	case r.ExitCode == probeHealthy:
		h.FailingStreak, h.Status = 0, api.Healthy
	case before == api.Starting && grace:
	default:
		h.FailingStreak++
		if h.FailingStreak >= retries {
			h.Status = api.Unhealthy
		}
	}
	c.rec.State.Health = h
	saved := c.save()
	c.mu.Unlock()
	m.warn(c, "state is not kept", saved)
	if h.Status != before {
		m.publish(c, events.Action(string(events.ActionHealthStatus)+": "+string(h.Status)), nil)
	}
}
