package container

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/stdio"
)

// Start starts a container. What fails leaves nothing but the reason in its state.
func (m *Manager) Start(ctx context.Context, ref string) error {
	c, err := m.settled(ctx, ref)
	if err != nil {
		return err
	}
	c.life.Lock()
	c.mu.Lock()
	s := c.rec.State
	switch {
	case s.Paused:
		err = conflict("cannot start a paused container, try unpause instead")
	case s.Running:
		err = errdefs.ErrNotModified.WithMessage("container is already running")
	case s.Removing || s.Dead:
		err = conflict("container is marked for removal and cannot be started")
	default:
		c.noRestart, c.rec.ManuallyStopped, c.rec.RestartCount, c.backoff = false, false, 0, 0
	}
	remove := c.host.AutoRemove
	c.mu.Unlock()
	if err != nil {
		c.life.Unlock()
		return err
	}
	err = m.start(ctx, c)
	c.life.Unlock()
	if err != nil && remove {
		ctx, cancel := detached(ctx)
		defer cancel()
		m.warn(c, "container that did not start is not removed", m.remove(ctx, c, RemoveOptions{Volumes: true}))
	}
	return err
}

// start starts a container and watches it. c.life is held.
func (m *Manager) start(ctx context.Context, c *Container) error {
	ctx = context.WithoutCancel(ctx) // a client that goes away does not leave half a container
	r, err := m.begin(ctx, c)
	if err != nil {
		m.failed(c, err)
		return c.startError(err)
	}
	c.mu.Lock()
	s := &c.rec.State
	*s = state{Running: true, Removing: s.Removing, PID: r.process.PID, StartedAt: time.Now().UTC(), FinishedAt: s.FinishedAt}
	c.run = r
	stopped := c.noRestart // it was to be started again, and told to stop meanwhile
	m.startHealth(c, r)    //nolint:contextcheck // it goes on when the request is over
	saved := c.save()
	c.mu.Unlock()
	m.warn(c, "state is not kept", saved)
	m.publish(c, events.ActionStart, nil)
	if stopped {
		m.warn(c, "container is not ended", r.process.Signal(unix.SIGKILL))
	}
	m.bg.Go(func() { m.watch(c, r) }) //nolint:contextcheck // so does the container
	return nil
}

// failed notes why a container did not start.
func (m *Manager) failed(c *Container, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.rec.State
	ran := s.Running // it was to be started again
	s.Running, s.Restarting, s.PID = false, false, 0
	s.ExitCode, s.Error = codeOf(err), c.startError(err).Error()
	hub := c.hub
	c.hub = nil
	m.warn(c, "state is not kept", c.save())
	if ran {
		c.notify(false)
	}
	if hub != nil {
		m.bg.Go(hub.Close)
	}
}

// begin does all that comes before a container runs, and undoes it where a step fails.
func (m *Manager) begin(ctx context.Context, c *Container) (_ *run, err error) {
	var undo []func(context.Context) error
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := detached(ctx)
		defer cancel()
		for _, f := range slices.Backward(undo) {
			m.warn(c, "start is not undone", f(ctx))
		}
	}()
	if err := c.mountRoot(ctx); err != nil {
		return nil, err
	}
	undo = append(undo, c.unmountRoot)
	undo = append(undo, func(context.Context) error { return m.o.Volumes.Stopped(c.id) })
	joined, etc, err := m.connect(ctx, c)
	if err != nil {
		return nil, err
	}
	undo = append(undo, func(ctx context.Context) error { return m.disconnect(ctx, c) })
	undo = append(undo, func(context.Context) error { return c.unshareMemory() })
	r := &run{group: m.group(c), netns: joined.NetNS, sandbox: joined.SandboxID, ended: make(chan struct{})}
	if r.spec, err = m.describe(c, joined.NetNS, etc); err != nil {
		return nil, err
	}
	spec, err := oci.Spec(r.spec)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.bundle(), 0o711); err != nil {
		return nil, err
	}
	undo = append(undo, func(ctx context.Context) error {
		return errors.Join(m.o.Runtime.Forget(ctx, c.id, r.group), os.RemoveAll(c.bundle()))
	})
	return r, m.launch(ctx, c, r, spec)
}

// launch runs the container's first process, with its streams.
func (m *Manager) launch(ctx context.Context, c *Container, r *run, spec *specs.Spec) error {
	log, err := c.openLog()
	if err != nil {
		return err
	}
	r.log, r.hub = log, c.takeHub()
	if !spec.Process.Terminal {
		return m.launchPiped(ctx, c, r, spec)
	}
	p, master, err := m.o.Runtime.Start(ctx, c.id, c.bundle(), spec, nil)
	if err != nil {
		if log != nil {
			log.Close()
		}
		return err
	}
	r.process, r.master = p, master
	return r.hub.Start(stdio.Streams{
		Stdin: terminalInput(master, c.rec.Config.OpenStdin), Stdout: master, Resize: resizer(master), Log: log,
	})
}

// launchPiped reads the output from before the start on: what a program writes to its outputs one after the other is then
// read so, too.
func (m *Manager) launchPiped(ctx context.Context, c *Container, r *run, spec *specs.Spec) error {
	ours, theirs, err := pipes(c.rec.Config.OpenStdin)
	if err != nil {
		if r.log != nil {
			r.log.Close()
		}
		return err
	}
	l := newLaunch()
	streams := pipeStreams(ours, r.log)
	streams.Stderr = hushed{ours[2], l}
	if err := r.hub.Start(streams); err != nil {
		closeAll(theirs)
		return err
	}
	r.process, _, err = m.o.Runtime.Start(ctx, c.id, c.bundle(), spec, theirs)
	l.end(err)
	closeAll(theirs)
	if err != nil {
		r.hub.Close()
	}
	return err
}
