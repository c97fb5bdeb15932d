package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/client"
)

// The environments: the same image with and without a pool, with the limits that environments.yaml has.
const environments = `environments:
  - {name: debian, title: D, image: debian, limits: &limits {cpus: 1, memory: 1GB, pids: 512, disk: 4GB, inodes: 262144, bandwidth: 100Mbit/s, terminals: 8}, lifetime: 45m, max_lifetime: 3h, idle_timeout: 0s, pool: 2}
  - {name: busybox, title: B, image: busybox, limits: *limits, lifetime: 45m, max_lifetime: 3h, idle_timeout: 0s, pool: 2}
  - {name: debian-cold, title: D, image: debian, limits: *limits, lifetime: 45m, max_lifetime: 3h, idle_timeout: 0s, pool: 0}
  - {name: docker, title: D, image: debian, limits: {cpus: 2, memory: 4GB, pids: 8192, disk: 8GB, inodes: 524288, bandwidth: 0, terminals: 8}, lifetime: 45m, max_lifetime: 3h, idle_timeout: 0s, pool: 0}
  - {name: busybox-cold, title: B, image: busybox, limits: *limits, lifetime: 45m, max_lifetime: 3h, idle_timeout: 0s, pool: 0}
`

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 2 * time.Minute
	pollEvery    = 20 * time.Millisecond
)

// server is a `berth serve` with directories of its own.
type server struct {
	dir    string
	cmd    *exec.Cmd
	url    string
	token  string // the administrator's
	log    *bytes.Buffer
	client *client.Client
}

// startServer starts it; images is a data directory that has the images.
func startServer(ctx context.Context, bin, images, dir string, verbose bool) (*server, error) {
	data, env := filepath.Join(dir, "data"), filepath.Join(dir, "environments.yaml")
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Mkdir(data, 0o700), os.Symlink(filepath.Join(images, "images"), filepath.Join(data, "images")),
		os.WriteFile(env, []byte(environments), 0o600)); err != nil {
		return nil, err
	}
	s := &server{dir: dir, url: "http://" + addr, log: &bytes.Buffer{}}
	s.cmd = exec.Command( //nolint:noctx // stop ends it
		filepath.Join(bin, "berth"), "serve", "--addr", addr, "--data-dir", data, "--run-dir", filepath.Join(dir, "run"),
		"--environments", env, "--on-exit=end", "--memory-overcommit=1000", "--disk-overcommit=1000", "--disk-reserve=100MB", "--per-address=1000")
	s.cmd.Stderr = s.log
	if verbose {
		s.cmd.Stderr = os.Stderr
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C is ours, we end it then
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start berth serve: build it with make build: %w", err)
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.token = strings.TrimSpace(string(token))
	s.client, err = client.New(s.url, s.token)
	return s, err
}

func freeAddress(ctx context.Context) (string, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *server) waitReady(ctx context.Context) error {
	return poll(ctx, "berth serve is not ready", func() bool {
		_, ok := s.get(ctx, "/readyz")
		return ok
	})
}

// waitPool waits until an environment's pool is full.
func (s *server) waitPool(ctx context.Context, env string, n int) error {
	want := fmt.Sprintf("berth_pool_sandboxes{environment=%q} %d\n", env, n)
	return poll(ctx, "the pool is not filled", func() bool {
		text, ok := s.get(ctx, "/metrics")
		return ok && strings.Contains(text, want)
	})
}

func (s *server) get(ctx context.Context, path string) (string, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return "", false
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(answer.Body)
	return text.String(), err == nil && answer.StatusCode == http.StatusOK
}

// stop ends the server and its sessions.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	timer := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() }) // Wait then says so
	defer timer.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("berth serve: %w: %s", err, s.log)
	}
	return nil
}

// poll looks until ok says yes, at most startTimeout.
func poll(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s after %s", what, startTimeout)
		}
	}
	return nil
}
