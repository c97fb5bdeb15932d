package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/runtime/engine/stdio"
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

// probe runs one check.
func (m *Manager) probe(ctx context.Context, c *Container, r *run, args []string, timeout time.Duration) *api.HealthcheckResult {
	result := &api.HealthcheckResult{Start: time.Now()}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errProbeTime)
	defer cancel()
	code, output, err := m.runProbe(ctx, c, r, args)
	result.End, result.ExitCode, result.Output = time.Now(), code, output
	switch {
	case errors.Is(err, errProbeTime):
		result.ExitCode = probeFailed
		result.Output = fmt.Sprintf("Health check exceeded timeout (%v): %s", timeout, output)
	case err != nil:
		result.ExitCode, result.Output = probeFailed, err.Error()
	}
	return result
}

var errProbeTime = errors.New("the health check took too long")

// runProbe runs a command in the container, and kills it when ctx ends.
func (m *Manager) runProbe(ctx context.Context, c *Container, r *run, args []string) (code int, output string, err error) {
	e := &Exec{container: c, request: api.ExecCreateRequest{Cmd: args}}
	p, err := e.describe(c, r, nil)
	if err != nil {
		return probeFailed, "", err
	}
	spec, err := oci.ExecSpec(r.spec, p)
	if err != nil {
		return probeFailed, "", err
	}
	ours, theirs, err := pipes(false)
	if err != nil {
		return probeFailed, "", err
	}
	started, err := m.o.Runtime.Exec(ctx, c.id, spec, theirs)
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return probeFailed, "", e.startError(err)
	}
	out := &bounded{}
	hub := stdio.NewHub(stdio.HubOptions{Stdout: ours[1], Stderr: ours[2], Logger: m.o.Log})
	var viewer sync.WaitGroup
	viewer.Go(func() { _ = hub.Attach(m.ctx, stdio.AttachOptions{Stdout: out, Stderr: out}) }) // to its end
	status, err := started.Wait(ctx)
	if err != nil {
		status, err = process.Status{Code: probeFailed}, errors.Join(err, ended(started))
	}
	hub.Drain(context.WithoutCancel(ctx))
	viewer.Wait()
	return status.Code, out.String(), err
}

func ended(p *process.Process) error {
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// bounded keeps the beginning of what is written.
type bounded struct {
	b   bytes.Buffer
	cut bool
}

func (w *bounded) Write(p []byte) (int, error) {
	room := max(probeOutput-w.b.Len(), 0)
	w.cut = w.cut || len(p) > room
	w.b.Write(p[:min(len(p), room)])
	return len(p), nil
}

func (w *bounded) String() string {
	if w.cut {
		return w.b.String() + "..."
	}
	return w.b.String()
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
