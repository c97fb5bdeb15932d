package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// start clones the sandbox's first process: this same program, as root of nothing but its own namespaces.
func (w *launch) start(ctx context.Context) error {
	config, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer config.Close()
	defer ours.Close()
	log, err := os.OpenFile(w.logPath(w.id), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	w.ready, w.files = ready, append(w.files, ready)
	defer theirs.Close()
	var pidfd int
	mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: w.uid(), Size: idRange}}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"berth", "sandbox", string(w.id)}, Dir: "/", Env: []string{"PATH=/bin"},
		Stderr: log, ExtraFiles: []*os.File{config, w.listen, theirs, w.docker}, // in the order of boot.ConfigFD…
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
				unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
			UidMappings: mapping, GidMappings: mapping, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{Uid: 0, Gid: 0}, Setsid: true, PidFD: &pidfd,
		},
	}
	stage := filepath.Join(w.runDir(w.id), "stage")
	if err := w.group.Start(cmd, func() error { return mountStage(stage, w.mounts) }); err != nil {
		return err
	}
	if w.process, err = ownProcess(cmd.Process, pidfd); err != nil {
		return err
	}
	// The sandbox starts nothing before it has its configuration: whatever it starts then inherits the score.
	if err := unprotect(w.process.pid); err != nil {
		return err
	}
	_ = config.Close() // the sandbox is its only reader: when it has ended, we are told
	return w.sendConfig(ctx, ours)
}

// sendConfig writes the sandbox's configuration. One that has ended already is for waitReady to tell of.
func (w *launch) sendConfig(ctx context.Context, to *os.File) error {
	limits := w.spec.Limits
	b, err := json.Marshal(boot.Config{
		Version: boot.ConfigVersion, ID: string(w.id), Hostname: w.spec.Hostname,
		Stage: filepath.Join(w.runDir(w.id), "stage"),
		DNS:   []string{w.link.Gateway.String()}, Mirrors: w.Mirrors,
		Proc:  boot.Budget{MemoryBytes: limits.MemoryBytes - engineMemory, PIDs: limits.PIDs - enginePIDs},
		Image: boot.Image{Name: w.image.Name, Layers: w.image.LayerDirs(), Config: w.image.Config},
		Env:   w.spec.Env, Shell: w.spec.Shell, Terminals: limits.Terminals,
	})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = to.SetWriteDeadline(time.Unix(1, 0)) }) // wakes the write below
	defer stop()
	if _, err := to.Write(b); err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("send the configuration: %w", errors.Join(context.Cause(ctx), err))
	}
	return nil
}

func (w *launch) connect(ctx context.Context) error {
	netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", w.process.pid))
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := w.link.Attach(ctx, netns, w.spec.Limits); err != nil {
		return err
	}
	return w.Names.Listen(ctx, w.link.Gateway)
}

func (w *launch) writeState(context.Context) error {
	w.state = state{ID: w.id, PID: w.process.pid, Slot: w.link.Slot, Cgroup: w.group, Limits: w.spec.Limits, Programs: w.programs}
	var err error
	if w.state.BootID, w.state.StartTime, err = identify(w.process.pid); err != nil {
		return err
	}
	return w.saveState(w.state)
}

// waitReady waits for the sandbox's one message, or its end.
func (w *launch) waitReady(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.ready.SetReadDeadline(time.Unix(1, 0)) }) // wakes the read below
	defer stop()
	var r boot.Ready
	err := json.NewDecoder(w.ready).Decode(&r)
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("the sandbox ended before it was ready: %s", tail(w.logPath(w.id)))
	case r.Error != "":
		return errors.New(r.Error)
	}
	return nil
}
