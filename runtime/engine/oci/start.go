package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/process"
)

// Start makes and starts a container in one run of runc. files are its standard input, output and error, the caller's to
// close; with a terminal they are nil, and its master is returned. Whatever fails, nothing of the container runs on.
func (r *Runtime) Start(ctx context.Context, id, bundle string, spec *specs.Spec, files []*os.File) (*process.Process, *os.File, error) {
	m, err := newMember(spec)
	if err != nil {
		return nil, nil, err
	}
	config, pidFile := filepath.Join(bundle, "config.json"), filepath.Join(bundle, "init.pid")
	if err := writeJSON(config, spec); err != nil {
		return nil, nil, err
	}
	defer os.Remove(config) // runc keeps what it needs of it: the engine's tmpfs is small
	args := []string{"run", "--detach", "--no-new-keyring", "--bundle", bundle, "--pid-file", pidFile}
	var tty *console
	if spec.Process.Terminal {
		if tty, err = newConsole(filepath.Join(r.Root, "tty-"+r.unique())); err != nil {
			return nil, nil, err
		}
		defer tty.Close() //nolint:errcheck // nothing is lost with it
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return nil, nil, err
		}
		defer null.Close()
		files, args = []*os.File{null, null, null}, append(args, "--console-socket", tty.path)
	}
	r.Cgroups.hold(m.group)
	since := r.Reaper.Now()
	if err := r.command(ctx, files, append(args, id)...); err != nil {
		return nil, nil, err
	}
	pid, err := readPID(pidFile)
	if err != nil {
		return nil, nil, err
	}
	p := r.Reaper.Adopt(pid, since)
	r.remember(id, m, p)
	if tty == nil {
		return p, nil, nil
	}
	master, err := tty.Master()
	if err != nil {
		return nil, nil, errors.Join(err, p.Signal(unix.SIGKILL))
	}
	return p, master, nil
}

// Forget removes what is left of a container that has ended, or whose start has failed: processes that share another's PID
// namespace, its control groups, and runc's record. It may be called again.
func (r *Runtime) Forget(ctx context.Context, id, group string) error {
	r.forget(id)
	err := r.Cgroups.Remove(ctx, group)
	return errors.Join(err, os.RemoveAll(filepath.Join(r.Root, id)))
}

// Pause freezes all processes of a container; Resume thaws them.
func (r *Runtime) Pause(ctx context.Context, id string) error { return r.verb(ctx, "pause", id) }

// Resume ends Pause.
func (r *Runtime) Resume(ctx context.Context, id string) error { return r.verb(ctx, "resume", id) }

// Update sets the limits of a running container; what is nil or zero stays as it is.
func (r *Runtime) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	file := filepath.Join(r.Root, "update-"+r.unique()+".json")
	defer os.Remove(file)
	if err := writeJSON(file, limits); err != nil {
		return err
	}
	return r.verb(ctx, "update", id, "--resources", file)
}

func (r *Runtime) verb(ctx context.Context, name, id string, options ...string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	args := append([]string{name}, options...)
	if err := r.command(ctx, []*os.File{null, null, null}, append(args, id)...); err != nil {
		return fmt.Errorf("%s container %s: %w", name, id, err)
	}
	return nil
}

// Namespace is the path of a process's namespace.
func Namespace(pid int, kind specs.LinuxNamespaceType) string {
	file := string(kind)
	switch kind {
	case specs.NetworkNamespace:
		file = "net"
	case specs.MountNamespace:
		file = "mnt"
	default: // the others are called as in /proc
	}
	return "/proc/" + strconv.Itoa(pid) + "/ns/" + file
}
