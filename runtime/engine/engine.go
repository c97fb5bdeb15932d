// Package engine is what `berth sandbox` does: the first process of a sandbox. It is root in the sandbox's user namespace
// and has no rights on the host. It starts the workspace container, runs processes in it, and serves the sandbox API on
// the socket that the launcher gave it. It knows nothing of sessions, visitors, quotas or clocks.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/api"
	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/terminal"
	"berth/terminal/execstream"
)

// ErrNoLauncher says that `berth sandbox` was started by hand.
var ErrNoLauncher = errors.New("berth sandbox is started by berth serve, not by hand")

// gcPercent keeps the idle engine small: its heap is a few hundred kilobytes, and collecting that more often costs nothing.
const gcPercent = 25

// stopTimeout bounds an orderly end.
const stopTimeout = 5 * time.Second

// firstTerminal is started before anybody asks, so that a visitor finds the prompt waiting.
const firstTerminal = "1"

// Run boots the machine, serves its API, and returns when ctx ends or the workspace has.
func Run(ctx context.Context, version string, log *slog.Logger) error {
	debug.SetGCPercent(gcPercent)
	config, err := readConfig()
	if err != nil {
		return err
	}
	e := &engine{config: config, version: version, log: log}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	if err := e.boot(ctx, &background); err != nil {
		return errors.Join(err, tell(boot.Ready{Error: err.Error()}))
	}
	return e.serve(ctx)
}

type engine struct {
	config    boot.Config
	version   string
	log       *slog.Logger
	workspace *workspace
	terminals *terminal.Set
	commands  *execstream.Handler
	host      *host
	docker    *docker
	builds    *builds
}

// boot makes this process the first of a machine, and starts the machine's first container and shell.
func (e *engine) boot(ctx context.Context, background *sync.WaitGroup) error {
	if os.Getpid() != 1 {
		return ErrNoLauncher
	}
	unix.Umask(0o022)
	if err := unix.Sethostname([]byte(e.config.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := boot.EnterRoot(e.config); err != nil {
		return err
	}
	if err := boot.SplitCgroup(e.config.Proc); err != nil {
		return err
	}
	if err := boot.Confine(); err != nil {
		return err
	}
	reaper := &process.Reaper{}
	background.Go(func() { reaper.Run(ctx) })
	state := filepath.Join(boot.Run, "runc")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	groups, err := oci.FindCgroups(boot.Cgroup)
	if err != nil {
		return err
	}
	runtime := &oci.Runtime{Path: boot.Runc, ExecPath: boot.DockerExec, Root: state, Reaper: reaper, Cgroups: groups}
	e.host = &host{ctx: ctx, config: e.config, version: e.version, runtime: runtime, log: e.log}
	if e.docker, err = listenDocker(e.host, e.log); err != nil {
		return err
	}
	if e.workspace, err = startWorkspace(ctx, runtime, e.config); err != nil {
		return err
	}
	e.host.workspace = e.workspace
	e.commands = execstream.NewHandler(ctx, e.workspace.exec, e.log)
	e.terminals = terminal.NewSet(ctx, e.workspace.startTerminal, terminal.Options{MaxTerminals: e.config.Terminals, Logger: e.log})
	e.builds = newBuilds(e.host, e.terminals)
	_, err = e.terminals.Open(ctx, firstTerminal, terminal.DefaultSize)
	return err
}

// serve answers the API until ctx ends or the workspace's first process does: then the machine is over.
func (e *engine) serve(ctx context.Context) error {
	f := os.NewFile(boot.ListenerFD, "listener")
	l, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	server := (&api.Server{
		Workspace: e.workspace, Routes: []api.Routes{e.terminals, e.commands}, Docker: e.host, Ports: &listeners{host: e.host},
		Registry: e.host, Browser: browser{e.host}, Images: e.host, Builds: e.builds, Version: e.version, Log: e.log,
	}).HTTPServer()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	e.docker.serve()
	if err := tell(boot.Ready{}); err != nil {
		return fmt.Errorf("tell the launcher: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-e.workspace.init.Done():
		err = errors.New("the workspace's first process has ended")
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(err, e.terminals.Close(stop), e.commands.Close(stop), e.builds.close(stop), e.docker.close(), server.Close())
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return err
}
