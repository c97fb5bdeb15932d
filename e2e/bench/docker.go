package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// dockerPeer is a dockerd with directories of its own, in this program's network namespace.
type dockerPeer struct {
	cmd  *exec.Cmd
	host string
	log  *bytes.Buffer
}

// newDockerPeer starts dockerd and gives it the images; nil where it is not installed.
func newDockerPeer(ctx context.Context, b *bench) (*dockerPeer, error) {
	daemon, err := exec.LookPath("dockerd")
	if err != nil {
		note("dockerd is not installed: no comparison with docker run")
		return nil, nil //nolint:nilerr // said above, and no error
	}
	dir := filepath.Join(b.dir, "docker")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	d := &dockerPeer{host: "unix://" + filepath.Join(dir, "docker.sock"), log: &bytes.Buffer{}}
	d.cmd = exec.Command(daemon, //nolint:noctx // stop ends it
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "-H", d.host)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	err = poll(ctx, "dockerd is not ready", func() bool { return d.docker(ctx, "version").Run() == nil })
	for _, image := range []string{"debian", "busybox"} {
		if err == nil {
			err = d.load(ctx, image, filepath.Join(b.runc[image].bundle, "rootfs"))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dockerd: %w: %s", err, d.log), d.stop())
	}
	return d, nil
}

// config is the directory of the docker program's configuration on the host.
func (d *dockerPeer) config() string {
	return filepath.Join(filepath.Dir(strings.TrimPrefix(d.host, "unix://")), "config")
}

func (d *dockerPeer) docker(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"-H", d.host}, args...)...)
}

// load imports the files of the image that Berth has.
func (d *dockerPeer) load(ctx context.Context, name, rootfs string) error {
	note("docker import %s", name)
	tar, in := exec.CommandContext(ctx, "tar", "-C", rootfs, "-c", "."), d.docker(ctx, "import", "-", name)
	pipe, err := tar.StdoutPipe()
	if err != nil {
		return err
	}
	in.Stdin = pipe
	if err := tar.Start(); err != nil {
		return err
	}
	out, err := in.CombinedOutput()
	if err = errors.Join(err, tar.Wait()); err != nil {
		return fmt.Errorf("import %s: %w: %s", name, err, out)
	}
	return nil
}

// run is from `docker run -it` to the first byte of the shell's prompt. It has no network, which is to dockerd's advantage.
func (d *dockerPeer) run(ctx context.Context, image string) (time.Duration, error) {
	shell := map[string]string{"debian": "bash", "busybox": "sh"}[image]
	cmd := d.docker(ctx, "run", "-it", "--rm", "--network", "none", image, shell)
	began := time.Now()
	tty, err := pty.Start(cmd)
	if err != nil {
		return 0, err
	}
	defer tty.Close()
	first := make([]byte, 4096)
	if _, err = tty.Read(first); err != nil {
		return 0, fmt.Errorf("docker run %s: %w", image, err)
	}
	took := time.Since(began)
	_, err = tty.WriteString("exit\n")
	for err == nil { // to the end: EIO
		_, err = tty.Read(first)
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("docker run %s: %w: %s", image, err, first)
	}
	return took, nil
}

func (d *dockerPeer) stop() error {
	if err := d.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	return d.cmd.Wait()
}
