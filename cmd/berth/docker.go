package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"berth/sessions"
)

// dockerCommand is `berth docker`.
type dockerCommand struct {
	remote
	ID   sessions.ID `arg:"" help:"The session."`
	Args []string    `arg:"" optional:"" passthrough:"" help:"Arguments of docker, best after --."`
}

// Run runs the docker command against a session's Docker: on a socket of its own, which is passed on to the server.
func (d *dockerCommand) Run(ctx context.Context, w words) (err error) {
	c, err := d.client()
	if err != nil {
		return err
	}
	if _, err := c.Get(ctx, d.ID); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "berth-docker-") // nobody else may pass: mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	socket := filepath.Join(dir, "docker.sock")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: c.Docker(d.ID), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	defer serving.Wait()
	defer func() { err = errors.Join(err, server.Close()) }()
	cmd, err := dockerCLI(dir, w.after(d.Args))
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, "DOCKER_HOST=unix://"+socket)
	return passSignals(cmd)
}

// dockerCLI is the docker beside berth, else the one in PATH. It gets a configuration of its own: logins of this host's
// registries are not for sessions, whose engine would be sent them. dir is for the configuration of who has no home.
func dockerCLI(dir string, args []string) (*exec.Cmd, error) {
	path, err := beside("docker", "")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("docker"); err != nil {
			return nil, fmt.Errorf("no docker, next to berth or in PATH (make build makes bin/docker): %w", err)
		}
	}
	cmd := exec.Command(path, args...) //nolint:noctx // it is told of signals, not killed
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// What points to another Docker, or says how to speak to it.
	others := []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(others, name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	if os.Getenv("DOCKER_CONFIG") != "" {
		return cmd, nil
	}
	home, err := os.UserConfigDir()
	if err != nil {
		home = dir
	}
	config := filepath.Join(home, "berth", "docker")
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+config)
	return cmd, linkPlugins(filepath.Join(config, "cli-plugins"), filepath.Dir(path))
}

// linkPlugins makes docker find the plugins beside it: it looks for them in its configuration, not in its own directory.
func linkPlugins(dir, from string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"docker-buildx", "docker-compose"} {
		plugin, link := filepath.Join(from, name), filepath.Join(dir, name)
		if _, err := os.Stat(plugin); err != nil {
			continue
		}
		if to, err := os.Readlink(link); err == nil && to == plugin {
			continue
		}
		// By rename: another berth may do the same.
		temp := fmt.Sprintf("%s.%d", link, os.Getpid())
		if err := errors.Join(os.Symlink(plugin, temp), os.Rename(temp, link)); err != nil {
			return err
		}
	}
	return nil
}

// passSignals runs a command to its end, and makes its exit status ours. Ctrl-C at a terminal reaches the command by itself.
func passSignals(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == unix.SIGTERM || !term.IsTerminal(int(os.Stdin.Fd())) {
				_ = cmd.Process.Signal(s) // it may just have ended
			}
		case err := <-ended:
			var status *exec.ExitError
			if !errors.As(err, &status) {
				return err
			}
			if ws, ok := status.Sys().(interface{ Signaled() bool }); ok && ws.Signaled() {
				return interrupted
			}
			return exitStatus(status.ExitCode())
		}
	}
}
