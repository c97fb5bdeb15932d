package e2e_test

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/client"
	"berth/runtime/sandbox/sandboxtest"
)

// environments are small, so that many fit on any machine.
const environments = `
environments:
  - name: debian
    title: Debian 12
    description: Debian bookworm, with apt, bash and the usual tools.
    image: debian
    limits: &limits {cpus: 1, memory: 256MiB, pids: 128, disk: 256MiB, inodes: 16384, terminals: 8}
    lifetime: 20m
    max_lifetime: 1h
    idle_timeout: 0s
  - name: busybox
    title: BusyBox
    description: The smallest one. A shell and three hundred tools in one file.
    image: busybox
    limits: &small {cpus: 1, memory: 64MiB, pids: 64, disk: 64MiB, inodes: 4096, terminals: 8}
    lifetime: 20m
    max_lifetime: 1h
    idle_timeout: 0s
`

// server is a `berth serve` that can be started, killed and started again.
type server struct {
	t      *testing.T
	corner sandboxtest.Corner
	args   []string // of serve, beside those that every test's server has
	url    string   // kept over restarts
	ready  time.Duration

	process *process // nil: not running
}

// process is one run of the program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and said all
	err  error         // after done: how it ended

	mu  sync.Mutex
	log []string
}

// newServer prepares a server with directories of its own; start starts it. At the test's end it is stopped, and what it
// left is removed.
func newServer(t *testing.T, environments string, args ...string) *server {
	t.Helper()
	return newServerIn(t, t.TempDir(), environments, args...)
}

// newServerIn is newServer with a place for the data.
func newServerIn(t *testing.T, dir, environments string, args ...string) *server {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: sandboxes are made of namespaces, mounts and control groups")
	}
	sandboxtest.Program(t, "berth") // skips before anything is made
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	s := &server{t: t, args: args, url: "http://127.0.0.1:0", corner: sandboxtest.Corner{
		DataDir: filepath.Join(dir, "data"), RunDir: "/run/berth-e2e-" + hex.EncodeToString(random[:]),
	}}
	sum := sha256.Sum256([]byte(s.corner.RunDir)) // as serve names what it makes in the kernel
	s.corner.Instance = hex.EncodeToString(sum[:4])
	s.corner.Images = filepath.Join(s.corner.DataDir, "images")
	must(t, os.Mkdir(s.corner.DataDir, 0o700))
	must(t, os.Symlink(filepath.Join(sandboxtest.Images(t), "images"), s.corner.Images))
	must(t, os.WriteFile(filepath.Join(s.corner.DataDir, "environments.yaml"), []byte(environments), 0o600))
	t.Cleanup(s.clean)
	return s
}

// serve is newServer and start.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := newServer(t, environments, args...)
	s.start()
	return s
}

func (s *server) clean() {
	if s.process != nil {
		s.kill()
	}
	if removed := s.corner.Clean(s.t); len(removed) > 0 {
		s.t.Logf("removed what the test left: %v", removed)
	}
	if left := s.corner.Remnants(s.t); len(left) > 0 {
		s.t.Errorf("cannot be removed: %q", left)
	}
}

// command is the program with the test's server as its own.
func (s *server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(sandboxtest.Program(s.t, "berth"), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BERTH_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "BERTH_URL="+s.url, "BERTH_DATA_DIR="+s.corner.DataDir)
	return cmd
}

// launch starts the program and follows what it says.
func (s *server) launch(more ...string) *process {
	s.t.Helper()
	args := append([]string{
		"serve", "--addr", strings.TrimPrefix(s.url, "http://"), "--data-dir", s.corner.DataDir, "--run-dir", s.corner.RunDir,
		"--environments", filepath.Join(s.corner.DataDir, "environments.yaml"), "--disk-reserve", "64MiB",
	}, append(s.args, more...)...)
	p := &process{cmd: s.command(args...), done: make(chan struct{})}
	out, in, err := os.Pipe()
	must(s.t, err)
	p.cmd.Stdout, p.cmd.Stderr = in, in
	must(s.t, p.cmd.Start())
	must(s.t, in.Close())
	go p.follow(s.t.Output(), out)
	return p
}

// follow ends with the server: sandboxes have a log of their own, so that nobody else holds the pipe.
func (p *process) follow(to io.Writer, from *os.File) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		fmt.Fprintln(to, "serve:", lines.Text())
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.mu.Unlock()
	}
	_ = from.Close()
	p.err = p.cmd.Wait()
	close(p.done)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

var addressLine = regexp.MustCompile(`(?m)^Berth is at (http://\S+)$`)

// start starts the server and waits until sessions can be created.
func (s *server) start() {
	s.t.Helper()
	began := time.Now()
	s.process = s.launch()
	eventually(s.t, patience, func() error {
		select {
		case <-s.process.done:
			s.t.Fatalf("the server ended: %v", s.process.err)
		default:
		}
		found := addressLine.FindStringSubmatch(s.process.said())
		if found == nil {
			return errors.New("the server has not said its address")
		}
		s.url = strings.TrimSuffix(found[1], "/")
		return nil
	})
	s.waitReady()
	s.ready = time.Since(began)
}

// end sends a signal and waits for the server's end.
func (s *server) end(signal unix.Signal) error {
	s.t.Helper()
	must(s.t, s.process.cmd.Process.Signal(signal))
	select {
	case <-s.process.done:
	case <-time.After(2 * patience):
		s.t.Fatalf("the server does not end by %s", signal)
	}
	err := s.process.err
	s.process = nil
	return err
}

func (s *server) kill() { _ = s.end(unix.SIGKILL) } // its error is the signal

// admin is a client with the token of root on this host.
func (s *server) admin() *client.Client {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.corner.DataDir, "admin.token"))
	must(s.t, err)
	return s.client(strings.TrimSpace(string(token)))
}

func (s *server) client(token string) *client.Client {
	s.t.Helper()
	c, err := client.New(s.url, token)
	must(s.t, err)
	return c
}

// wantNothingLeft waits until the machine holds nothing of the server's sandboxes.
func (s *server) wantNothingLeft() {
	s.t.Helper()
	eventually(s.t, patience, func() error {
		if left := s.corner.Remnants(s.t); len(left) > 0 {
			return fmt.Errorf("%d remnants: %q", len(left), left)
		}
		return nil
	})
}
