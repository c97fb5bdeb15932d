// Package oci runs containers: it makes their specifications and is the only place that knows runc.
package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/process"
)

// maxMessage bounds what is kept of what runc says when it fails.
const maxMessage = 4 << 10

// Runtime drives one runc. State stands in Root, a tmpfs: it is gone with the sandbox.
type Runtime struct {
	Path     string // of the runc binary
	ExecPath string // of docker-exec
	Root     string // runc's state directory
	Reaper   *process.Reaper
	Cgroups  *Cgroups // where containers stand

	serial  atomic.Uint64
	mu      sync.Mutex
	members map[string]*member // the containers that can be joined, by their names to runc
}

// Run makes and starts a container from bundle, which holds rootfs; it returns the container's init process.
func (r *Runtime) Run(ctx context.Context, id, bundle string, spec *specs.Spec) (*process.Process, error) {
	m, err := newMember(spec)
	if err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(bundle, "config.json"), spec); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pidFile := filepath.Join(bundle, "init.pid")
	since := r.Reaper.Now()
	if err := r.command(ctx, []*os.File{null, null, null}, "run", "--detach", "--no-new-keyring", "--bundle", bundle,
		"--pid-file", pidFile, id); err != nil {
		return nil, fmt.Errorf("run container %s: %w", id, err)
	}
	pid, err := readPID(pidFile)
	if err != nil {
		return nil, err
	}
	p := r.Reaper.Adopt(pid, since)
	r.remember(id, m, p)
	return p, nil
}

// Error is what runc, or docker-exec, said when it failed.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return "runc: " + e.Message }

// command runs runc to its end. Its log goes to a file of its own, for the standard error is the container's.
func (r *Runtime) command(ctx context.Context, files []*os.File, args ...string) error {
	log, err := os.CreateTemp(r.Root, "log-")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	argv := append([]string{"runc", "--root", r.Root, "--log", log.Name(), "--log-format", "json"}, args...)
	p, err := r.Reaper.Start(r.Path, argv, &os.ProcAttr{
		Files: files, Dir: "/", Env: []string{"PATH=/bin", "GOMAXPROCS=2", "XDG_RUNTIME_DIR=/run"},
	})
	if err != nil {
		return err
	}
	status, err := p.Wait(ctx)
	if err != nil {
		return errors.Join(err, p.Signal(9))
	}
	if status.Code == 0 {
		return nil
	}
	return &Error{Code: status.Code, Message: lastError(log)}
}

// lastError finds runc's last error message in its JSON log.
func lastError(log io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(log, 1<<20))
	if err != nil {
		return err.Error()
	}
	message := "failed without a message"
	for line := range bytes.Lines(b) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			message = entry.Msg
		}
	}
	// Cut between characters: the message goes on as JSON.
	return strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
}

func (r *Runtime) unique() string { return strconv.FormatUint(r.serial.Add(1), 36) }

func readPID(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("runc wrote %q as a PID", b)
	}
	return pid, nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
