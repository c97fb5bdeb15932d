package container

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"berth/runtime/engine/process"
	"berth/runtime/engine/stdio"
)

// keptExec is how long the exit code of an exec can be asked for after its end. Docker's.
const keptExec = 5 * time.Minute

// Exec is a process that joins a container.
type Exec struct {
	id        string
	container *Container
	request   api.ExecCreateRequest
	keys      []byte        // that detach from it
	done      chan struct{} // closed when it has ended and that was noted

	mu      sync.Mutex // of what follows
	started bool
	running bool
	code    *int
	process *process.Process
	hub     *stdio.Hub
	over    time.Time
}

// ExecCreate prepares a process.
func (m *Manager) ExecCreate(_ context.Context, ref string, r api.ExecCreateRequest) (string, error) {
	c, err := m.Get(ref)
	if err != nil {
		return "", err
	}
	if len(r.Cmd) == 0 {
		return "", invalid("No exec command specified")
	}
	if err := c.execable(); err != nil {
		return "", err
	}
	keys, err := stdio.ParseDetachKeys(r.DetachKeys)
	if err != nil {
		return "", err
	}
	e := &Exec{id: newID(), container: c, request: r, keys: keys, done: make(chan struct{})}
	m.mu.Lock()
	for id, old := range m.execs {
		old.mu.Lock()
		if !old.over.IsZero() && time.Since(old.over) > keptExec {
			delete(m.execs, id)
		}
		old.mu.Unlock()
	}
	m.execs[e.id] = e
	m.mu.Unlock()
	m.publish(c, events.Action(string(events.ActionExecCreate)+": "+strings.Join(r.Cmd, " ")), map[string]string{"execID": e.id})
	return e.id, nil
}

// execable says why nothing can be started in the container.
func (c *Container) execable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s := c.rec.State; {
	case s.Restarting:
		return conflict("Container %s is restarting, wait until the container is running", c.id)
	case !s.Running || c.run == nil:
		return conflict("container %s is not running", c.id)
	case s.Paused:
		return conflict("Container %s is paused, unpause the container before exec", c.id)
	}
	return nil
}

// GetExec finds an exec.
func (m *Manager) GetExec(id string) (*Exec, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.execs[id]
	if !ok {
		return nil, errdefs.ErrNotFound.WithMessage("No such exec instance: " + id)
	}
	return e, nil
}

// claim takes the exec for its one start.
func (m *Manager) claim(id string) (*Exec, error) {
	e, err := m.GetExec(id)
	if err != nil {
		return nil, err
	}
	if err := e.container.execable(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return nil, conflict("exec %s has already been started", id)
	}
	e.started = true
	e.hub = stdio.NewHub(stdio.HubOptions{OpenStdin: e.request.AttachStdin, StdinOnce: true, TTY: e.request.Tty, Logger: m.o.Log})
	return e, nil
}

// ExecResize sets the size of an exec's terminal.
func (m *Manager) ExecResize(id string, width, height uint) error {
	e, err := m.GetExec(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	hub := e.hub
	e.mu.Unlock()
	if hub == nil {
		return conflict("exec %s is not running", id)
	}
	if err := hub.Resize(width, height); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	return nil
}

// ExecInspect tells of an exec.
func (m *Manager) ExecInspect(id string) (api.ExecInspectResponse, error) {
	e, err := m.GetExec(id)
	if err != nil {
		return api.ExecInspectResponse{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := api.ExecInspectResponse{
		ID: e.id, Running: e.running, ExitCode: e.code, OpenStdin: e.request.AttachStdin, OpenStdout: e.request.AttachStdout,
		OpenStderr: e.request.AttachStderr, ContainerID: e.container.id, DetachKeys: []byte(e.request.DetachKeys),
		CanRemove: e.code != nil,
		ProcessConfig: &api.ExecProcessConfig{
			Tty: e.request.Tty, Entrypoint: e.request.Cmd[0], Arguments: e.request.Cmd[1:], Privileged: &e.request.Privileged,
			User: e.request.User,
		},
	}
	if e.process != nil {
		r.Pid = e.process.PID
	}
	return r, nil
}
