package container

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/runtime/engine/stdio"
)

// Container is one container, running or not.
type Container struct {
	id      string
	manager *Manager

	unlogged bool // its log driver is none; it stays so

	// life is held by what changes whether the container runs: start, the handling of its end, removal. It is held while
	// runc is waited for; mu is not.
	life sync.Mutex

	mu      sync.Mutex // of what follows
	rec     record
	host    *api.HostConfig
	run     *run       // nil: it does not run
	hub     *stdio.Hub // of this run or, where clients wait for it already, the next one
	waiters []waiter

	noRestart  bool          // it was told to end: its next end is the last one
	restarting bool          // `docker restart` is at it
	backoff    time.Duration // before the next restart
	cancel     chan struct{} // closed to give up waiting for a restart; nil: none is waited for
}

// record is what is kept of a container on disk.
type record struct {
	ID, Name string
	Created  time.Time
	ImageID  string
	Config   *api.Config
	Path     string
	Args     []string
	Mounts   []*mountPoint

	Endpoints map[string]*apinet.EndpointSettings
	Asked     map[string]*apinet.EndpointSettings `json:",omitempty"` // while it runs: Endpoints as they were asked for
	Ports     apinet.PortMap                      // as bound, while it runs

	State           state
	RestartCount    int
	ManuallyStopped bool
}

// run is what there is of a container only while it runs.
type run struct {
	process *process.Process
	hub     *stdio.Hub
	log     *stdio.LogWriter // nil: it has none
	master  *os.File         // of its terminal, or nil
	group   string           // its control group
	spec    oci.Container
	netns   string // path of its network namespace, "" the sandbox's own
	sandbox string // ID of its place in the networks
	health  *monitor
	ended   chan struct{} // closed when its end has been dealt with
}

// Name is the container's name without Docker's slash.
func (c *Container) Name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Name
}

// ID is the container's ID: 64 hexadecimal digits.
func (c *Container) ID() string { return c.id }

// Dir is where its record and log are kept.
func (c *Container) Dir() string { return filepath.Join(c.manager.o.Dir, c.id) }

// TTY reports whether it has a terminal.
func (c *Container) TTY() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Config.Tty
}

// Config is its configuration and its host's part. They are not to be changed.
func (c *Container) Config() (*api.Config, *api.HostConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Config, c.host
}

// Running reports whether it runs (or is paused, or between two runs of a restart policy).
func (c *Container) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.State.Running
}

// rootfs is where its files are mounted while they are in use.
func (c *Container) rootfs() string { return filepath.Join(c.manager.o.RunDir, "roots", c.id) }

// bundle is runc's directory for it.
func (c *Container) bundle() string { return filepath.Join(c.manager.o.RunDir, "bundles", c.id) }

// MountRoot mounts the container's files, without its volumes, and returns where. Call done when they are no longer used.
func (c *Container) MountRoot(ctx context.Context) (root string, done func() error, err error) {
	c.life.Lock()
	root = c.rootfs()
	c.mu.Lock()
	mounted := c.run != nil
	c.mu.Unlock()
	if mounted {
		c.life.Unlock()
		return root, func() error { return nil }, nil
	}
	// Held until done: the container must not start and end meanwhile, which would unmount its files.
	if err := c.mountRoot(ctx); err != nil {
		c.life.Unlock()
		return "", nil, err
	}
	var once sync.Once
	return root, func() (err error) {
		once.Do(func() {
			ctx, cancel := detached(ctx)
			defer cancel()
			err = c.unmountRoot(ctx)
			c.life.Unlock()
		})
		return err
	}, nil
}

func (c *Container) mountRoot(ctx context.Context) error {
	if err := os.MkdirAll(c.rootfs(), 0o711); err != nil {
		return err
	}
	if err := c.manager.o.Images.MountRoot(ctx, c.id, c.rootfs()); err != nil {
		return errors.Join(err, os.Remove(c.rootfs()))
	}
	return nil
}

func (c *Container) unmountRoot(ctx context.Context) error {
	if err := c.manager.o.Images.UnmountRoot(ctx, c.id, c.rootfs()); err != nil {
		return err
	}
	if err := os.Remove(c.rootfs()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// save writes the record. c.mu is held, or nobody else knows c yet.
func (c *Container) save() error { return writeJSON(filepath.Join(c.Dir(), "config.json"), c.rec) }

func (c *Container) saveHost() error {
	return writeJSON(filepath.Join(c.Dir(), "hostconfig.json"), c.host)
}

// read reads a container's record.
func (m *Manager) read(id string) (*Container, error) {
	c := &Container{id: id, manager: m}
	for name, v := range map[string]any{"config.json": &c.rec, "hostconfig.json": &c.host} {
		b, err := os.ReadFile(filepath.Join(m.o.Dir, id, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return nil, err
		}
	}
	if c.rec.ID != id || c.rec.Config == nil || c.host == nil {
		return nil, errors.New("the record is not of this container")
	}
	c.unlogged = c.host.LogConfig.Type == noLog
	if c.rec.Asked != nil { // it ran when the sandbox ended
		c.rec.Endpoints, c.rec.Asked = c.rec.Asked, nil
	}
	c.rec.Ports = nil
	return c, nil
}

// writeJSON replaces a file at once. It is not synced: after a crash of the host the sandbox is gone, and with it its disk.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}
