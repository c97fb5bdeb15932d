// Package sandbox builds sandboxes on this host behind the userns wall, finds them again after a restart of the server,
// and takes them away without a trace. It is the only part of the server that needs root.
//
// A sandbox is one process tree in its own user, PID, mount, network, IPC, UTS and cgroup namespaces. All that it holds
// on the host is named after its ID, and is found by that name: a directory below the run directory, one below the data
// directory, a control group, a network link and a lease on its image. So there is one way to end a sandbox, whole or
// half-made, by this server or an earlier one: remove.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"berth/quotas/cgroup"
	"berth/quotas/network"
	"berth/runtime/imagecache"
	"berth/sessions"
)

// DefaultUIDBase is the first user ID of the first sandbox: above what systemd-nspawn (to 0x6fffffff) and /etc/subuid give
// out and what the image cache unpacks as (0x7000_0000), below 2^31, for some programs keep IDs in an int. Each sandbox has idRange of them.
const (
	DefaultUIDBase = 0x7001_0000
	idRange        = 1 << 16
)

// Config is what a Launcher works with. All fields but DockerDir, Log, UIDBase, DiskReserve and Trace are required.
type Config struct {
	Instance   string // names this server's leases on images; the same for the next server on these directories
	DataDir    string // session disks are in DataDir/sessions
	RunDir     string // sockets and state are in RunDir/ID
	Runc       string // path of the runc binary
	DockerInit string // path of the docker-init binary; docker-exec stands beside it
	DockerDir  string // has the docker command and its plugins (boot.DockerPrograms); "": sessions have none
	Images     *imagecache.Cache
	Cgroups    *cgroup.Instance
	Network    *network.Host
	Names      Names // answers the sandboxes\' name queries; nil: nobody does

	UIDBase     uint32   // 0: DefaultUIDBase
	DiskReserve int64    // bytes of the host's disk that sessions never get
	Mirrors     []string // of Docker Hub: boot.Config
	Log         *slog.Logger

	// Trace is called before each step of a launch; an error stops it there. Tests use it to fail at every step.
	Trace func(step string) error
}

// Names is a name server that listens at the gateways of sandboxes.
type Names interface {
	Listen(ctx context.Context, gateway netip.Addr) error
	Unlisten(gateway netip.Addr) error // idempotent
}

// noNames is the name server of a launcher that has none.
type noNames struct{}

func (noNames) Listen(context.Context, netip.Addr) error { return nil }
func (noNames) Unlisten(netip.Addr) error                { return nil }

// Launcher implements sessions.Launcher.
type Launcher struct {
	Config

	programs string // name of the directory of runc and docker-init
	oom      *oomLog
	stop     context.CancelFunc // ends the goroutines of the launcher
	keepers  sync.WaitGroup

	mu     sync.Mutex
	making map[sessions.ID]bool     // launches under way: not to be swept
	alive  map[sessions.ID]*Sandbox // found or launched by this server
}

// New checks the configuration and makes the directories. Close ends what New has begun; so does the end of ctx.
func New(ctx context.Context, c Config) (*Launcher, error) {
	if c.UIDBase == 0 {
		c.UIDBase = DefaultUIDBase
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Names == nil {
		c.Names = noNames{}
	}
	if c.Trace == nil {
		c.Trace = func(string) error { return nil }
	}
	l := &Launcher{Config: c, making: map[sessions.ID]bool{}, alive: map[sessions.ID]*Sandbox{}}
	// Others may pass through the run directory, as each sandbox does by its own user ID, but not look.
	if err := passable(c.RunDir); err != nil {
		return nil, err
	}
	if err := errors.Join(makeDir(c.RunDir, 0o711), makeDir(l.disksDir(), 0o700), l.preparePrograms()); err != nil {
		return nil, err
	}
	l.oom = watchOOM()
	ctx, stop := context.WithCancel(ctx)
	l.stop = stop
	l.keepers.Go(func() { l.keepRules(ctx) })
	return l, nil
}

// passable reports a directory above dir that users other than root may not pass: a sandbox is one, and finds its mounts
// below dir.
func passable(dir string) error {
	for d := filepath.Dir(filepath.Clean(dir)); ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("run directory %s: sandboxes cannot pass through %s (%s): chmod o+x it, or choose another", dir, d, info.Mode())
		}
		if d == "/" || d == "." {
			return nil
		}
	}
}

func makeDir(path string, mode os.FileMode) error {
	return errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode))
}

func (l *Launcher) disksDir() string { return filepath.Join(l.DataDir, "sessions") }

func (l *Launcher) diskDir(id sessions.ID) string { return filepath.Join(l.disksDir(), string(id)) }

func (l *Launcher) diskPath(id sessions.ID) string { return filepath.Join(l.diskDir(id), "disk.img") }

func (l *Launcher) runDir(id sessions.ID) string { return filepath.Join(l.RunDir, string(id)) }

func (l *Launcher) socket(id sessions.ID) string { return filepath.Join(l.runDir(id), "sandbox.sock") }

func (l *Launcher) dockerSocket(id sessions.ID) string {
	return filepath.Join(l.runDir(id), "docker.sock")
}

func (l *Launcher) logPath(id sessions.ID) string { return filepath.Join(l.diskDir(id), "sandbox.log") }

// Find returns a sandbox that an earlier server launched and that still runs.
func (l *Launcher) Find(ctx context.Context, id sessions.ID) (sessions.Sandbox, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.alive[id]; ok && !s.process.ended() {
		return s, nil
	} else if ok || !id.Valid() {
		return nil, sessions.ErrNotFound
	}
	st, err := l.readState(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sessions.ErrNotFound, err)
	}
	p, err := st.process()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sessions.ErrNotFound, err)
	}
	if err := l.Names.Listen(ctx, l.Network.Link(st.Slot, string(id)).Gateway); err != nil {
		l.Log.Warn("no name server for a sandbox", "sandbox", id, "error", err)
	}
	return l.adopt(st, p), nil
}

// adopt keeps a sandbox that runs. The caller holds mu.
func (l *Launcher) adopt(st state, p *hostProcess) *Sandbox {
	s := &Sandbox{launcher: l, state: st, process: p}
	l.alive[st.ID] = s
	l.oom.follow(string(st.ID))
	return s
}

// forget lets go of a sandbox that is no more.
func (l *Launcher) forget(id sessions.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.alive, id)
	l.oom.forget(string(id))
}

// Close lets go of the sandboxes; they live on.
func (l *Launcher) Close() error {
	l.stop()
	l.keepers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.oom.close()
	for id, s := range l.alive {
		err = errors.Join(err, s.process.release())
		delete(l.alive, id)
	}
	return err
}
