package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"
)

// Docker's times.
const (
	stopDefault = 10 * time.Second // between the stop signal and SIGKILL
	killTimeout = 10 * time.Second // for the kernel to end what got SIGKILL
)

// StopOptions say how a container is stopped.
type StopOptions struct {
	Signal  string // "": the container's own
	Timeout *int   // seconds until SIGKILL; negative: none; nil: the container's own
}

// Stop stops a container: its stop signal, then SIGKILL.
func (m *Manager) Stop(ctx context.Context, ref string, o StopOptions) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	if !c.Running() {
		return errdefs.ErrNotModified.WithMessage("container is already stopped")
	}
	return m.stop(ctx, c, o)
}

func (m *Manager) stop(ctx context.Context, c *Container, o StopOptions) error {
	sig, wait, err := c.stopHow(o)
	if err != nil {
		return err
	}
	gone, forget := c.whenStopped()
	defer forget()
	if err := m.signal(c, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		if errdefs.IsConflict(err) {
			return nil // it has ended by itself
		}
		m.warn(c, "stop signal is not sent", err)
	}
	ctx = context.WithoutCancel(ctx) // a client that goes away does not call it off
	if waitFor(ctx, gone, wait) {
		m.publish(c, events.ActionStop, nil)
		return nil
	}
	if err := m.kill(ctx, c); err != nil && !errdefs.IsConflict(err) {
		return err
	}
	m.publish(c, events.ActionStop, nil)
	return nil
}

// stopHow is the signal and the time; a negative one is for ever.
func (c *Container) stopHow(o StopOptions) (unix.Signal, time.Duration, error) {
	c.mu.Lock()
	conf := c.rec.Config
	c.mu.Unlock()
	name := o.Signal
	if name == "" {
		name = conf.StopSignal
	}
	sig := unix.SIGTERM
	if name != "" {
		var err error
		if sig, err = parseSignal(name); err != nil {
			return 0, 0, err
		}
	}
	wait := stopDefault
	for _, seconds := range []*int{conf.StopTimeout, o.Timeout} {
		if seconds != nil {
			wait = time.Duration(*seconds) * time.Second
		}
	}
	return sig, wait, nil
}

// whenStopped returns a channel that tells the container's end, or that it has none to come.
func (c *Container) whenStopped() (<-chan api.WaitResponse, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan api.WaitResponse, 1)
	if !c.rec.State.Running {
		ch <- c.exit()
		return ch, func() {}
	}
	c.waiters = append(c.waiters, waiter{false, ch})
	return ch, func() { c.stopWaiting(ch) }
}

func waitFor(ctx context.Context, gone <-chan api.WaitResponse, d time.Duration) bool {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-gone:
		return true
	case <-over:
		return false
	case <-ctx.Done():
		return false
	}
}

// Kill sends a signal to a container; after SIGKILL it waits for the end.
func (m *Manager) Kill(ctx context.Context, ref, signal string) error {
	sig := unix.SIGKILL
	if signal != "" {
		var err error
		if sig, err = parseSignal(signal); err != nil {
			return err
		}
	}
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	if !c.Running() {
		return conflict("cannot kill container: %s: container %s is not running", ref, c.id)
	}
	if sig == unix.SIGKILL {
		return m.kill(ctx, c)
	}
	return m.signal(c, sig)
}

// kill ends a container, and returns when its end was dealt with.
func (m *Manager) kill(ctx context.Context, c *Container) error {
	gone, forget := c.whenStopped()
	defer forget()
	if err := m.signal(c, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	if !waitFor(context.WithoutCancel(ctx), gone, killTimeout+cleanupTimeout) {
		return fmt.Errorf("tried to kill container %s, but did not receive an exit event", c.id)
	}
	return nil
}

// signal sends a signal to the container's first process. What stops a container ends its restart policy, too.
func (m *Manager) signal(c *Container, sig unix.Signal) error {
	c.mu.Lock()
	if !c.rec.State.Running {
		c.mu.Unlock()
		return notRunning(c)
	}
	stops := true
	if c.rec.Config.StopSignal != "" && sig != unix.SIGKILL {
		own, err := parseSignal(c.rec.Config.StopSignal)
		stops = err == nil && own == sig
	}
	if stops {
		c.noRestart = true
		if c.cancel != nil {
			close(c.cancel)
			c.cancel = nil
		}
	}
	c.rec.ManuallyStopped = true
	saved := c.save()
	r, paused := c.run, c.rec.State.Paused
	c.mu.Unlock()
	m.warn(c, "state is not kept", saved)
	if r == nil {
		return nil // it waits for its restart, which is called off
	}
	if err := r.process.Signal(sig); err != nil {
		return fmt.Errorf("Cannot kill container %s: %w", c.id, err) //nolint:staticcheck // Docker's words
	}
	if paused && stops {
		m.warn(c, "container is not thawed", m.thaw(c))
	}
	m.publish(c, events.ActionKill, map[string]string{"signal": strconv.Itoa(int(sig))})
	return nil
}
