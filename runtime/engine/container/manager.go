// Package container runs a visitor's containers: their state on disk, their life with restart policies and health checks,
// and all that Docker tells about them. It asks the other rooms (images, networks, volumes, streams) through small interfaces,
// and package oci for the kernel's part.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	bus "berth/runtime/engine/events"
	"berth/runtime/engine/oci"
)

// Options are what a Manager works with.
type Options struct {
	Dir    string // of the containers' records and logs; on the session's disk
	RunDir string // of bundles and mounted roots; a tmpfs

	Images    Images
	Networks  Networks
	Volumes   Volumes
	Runtime   *oci.Runtime
	Workspace Workspace
	Events    *bus.Bus
	Log       *slog.Logger
}

// Manager has all containers of a sandbox.
type Manager struct {
	o   Options
	ctx context.Context // of what runs in the background; it ends with Close
	end context.CancelFunc
	bg  sync.WaitGroup

	mu    sync.RWMutex // of what follows; never held while anything is waited for
	byID  map[string]*Container
	names map[string]string // name → ID
	execs map[string]*Exec
}

// New finds the containers that an earlier sandbox has left on the disk. None of them runs: the ones that did are exited
// now, and their restart policies are followed.
func New(ctx context.Context, o Options) (*Manager, error) {
	if o.Images == nil || o.Networks == nil || o.Volumes == nil || o.Runtime == nil || o.Events == nil || o.Log == nil {
		return nil, errors.New("container: a room is missing")
	}
	for _, dir := range []string{o.Dir, filepath.Join(o.RunDir, "bundles"), filepath.Join(o.RunDir, "roots")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	if o.Runtime.Cgroups == nil {
		return nil, errors.New("container: the runtime knows no control groups")
	}
	ctx, end := context.WithCancel(ctx)
	m := &Manager{
		o: o, ctx: ctx, end: end,
		byID: map[string]*Container{}, names: map[string]string{}, execs: map[string]*Exec{},
	}
	if err := m.load(); err != nil {
		end()
		return nil, err
	}
	m.bg.Go(m.resume)
	return m, nil
}

// Close ends what runs in the background. Containers go on: they end with the sandbox.
func (m *Manager) Close() error {
	m.end()
	m.bg.Wait()
	return nil
}

// load reads the records. One that cannot be read is left alone, and told.
func (m *Manager) load() error {
	entries, err := os.ReadDir(m.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		c, err := m.read(e.Name())
		if err != nil {
			m.o.Log.Error("container cannot be read", "id", e.Name(), "error", err)
			continue
		}
		if _, taken := m.names[c.rec.Name]; taken {
			c.rec.Name = e.Name()
		}
		m.byID[c.id], m.names[c.rec.Name] = c, c.id
	}
	return nil
}

// Get finds a container by name, ID or the unique beginning of an ID.
func (m *Manager) Get(ref string) (*Container, error) {
	if ref == "" {
		return nil, errdefs.ErrInvalidArgument.WithMessage("No container name or ID supplied")
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c, ok := m.byID[ref]; ok {
		return c, nil
	}
	if id, ok := m.names[strings.TrimPrefix(ref, "/")]; ok {
		if c, ok := m.byID[id]; ok { // not one that is being created
			return c, nil
		}
	}
	var found *Container
	for id, c := range m.byID {
		if !strings.HasPrefix(id, ref) {
			continue
		}
		if found != nil {
			return nil, errdefs.ErrNotFound.WithMessage("Multiple IDs found with provided prefix: " + ref)
		}
		found = c
	}
	if found == nil {
		return nil, noSuch(ref)
	}
	return found, nil
}

func noSuch(ref string) error { return errdefs.ErrNotFound.WithMessage("No such container: " + ref) }

// all returns the containers there are, in no order.
func (m *Manager) all() []*Container {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]*Container, 0, len(m.byID))
	for _, c := range m.byID {
		list = append(list, c)
	}
	return list
}

// add makes a container known; its name is reserved already.
func (m *Manager) add(c *Container) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[c.id] = c
}

// drop forgets a container and its name.
func (m *Manager) drop(c *Container) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byID, c.id)
	for name, id := range m.names {
		if id == c.id {
			delete(m.names, name)
		}
	}
	for id, e := range m.execs {
		if e.container == c {
			delete(m.execs, id)
		}
	}
}

// publish tells an event of a container, with the attributes that Docker tells with each.
func (m *Manager) publish(c *Container, action events.Action, more map[string]string) {
	c.mu.Lock()
	attributes := make(map[string]string, len(c.rec.Config.Labels)+len(more)+2)
	for k, v := range c.rec.Config.Labels {
		attributes[k] = v
	}
	attributes["image"], attributes["name"] = c.rec.Config.Image, c.rec.Name
	c.mu.Unlock()
	for k, v := range more {
		attributes[k] = v
	}
	m.o.Events.Publish(events.ContainerEventType, action, c.id, attributes)
}

// warn logs what went wrong where nobody waits for an answer.
func (m *Manager) warn(c *Container, what string, err error) {
	if err != nil {
		m.o.Log.Warn(what, "container", c.id, "error", err)
	}
}

// cleanupTimeout bounds what undoes a step when its own time is over.
const cleanupTimeout = 20 * time.Second

// detached goes on when the request that began it has ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}

func conflict(format string, args ...any) error {
	return errdefs.ErrConflict.WithMessage(fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
}
