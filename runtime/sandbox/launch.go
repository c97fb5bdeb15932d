package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/quotas/cgroup"
	"berth/quotas/disk"
	"berth/quotas/network"
	"berth/runtime/engine/boot"
	"berth/runtime/imagecache"
	"berth/sessions"
)

// What the engine keeps for itself of the sandbox's limits, so that it can still say what happened when the visitor's
// programs have used up theirs.
const (
	engineMemory = 24 << 20 // bytes
	enginePIDs   = 32
)

// closeTimeout bounds the removal of a sandbox whose launch failed.
const closeTimeout = 30 * time.Second

// launch is one launch under way: what its steps hand on to later ones. Descriptors are closed at its end.
type launch struct {
	*Launcher
	id    sessions.ID
	spec  sessions.Spec
	image imagecache.Image

	link   *network.Link
	group  *cgroup.Group
	ids    *os.File // user namespace with the sandbox's ID mapping
	mounts []stagedMount
	listen *os.File

	state   state
	process *hostProcess
	ready   *os.File
	files   []io.Closer
}

// Launch builds a sandbox step by step. What a failed step leaves is removed by the one way in which all sandboxes are.
func (l *Launcher) Launch(ctx context.Context, id sessions.ID, spec sessions.Spec) (sessions.Sandbox, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("launch: %q is not a session ID", id)
	}
	if err := spec.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("launch sandbox %s: %w", id, err)
	}
	l.mu.Lock()
	taken := l.making[id] || l.alive[id] != nil
	l.making[id] = true
	l.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("launch sandbox %s: the ID is in use", id)
	}
	defer l.made(id)
	w := &launch{Launcher: l, id: id, spec: spec}
	err := w.run(ctx)
	w.closeFiles() // a mount that is held here is held for the sandbox's remnants too
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if w.process != nil {
			err = errors.Join(err, w.process.kill(undo), w.process.release())
		}
		return nil, errors.Join(fmt.Errorf("launch sandbox %s: %w", id, err), l.remove(undo, id))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.adopt(w.state, w.process), nil
}

// made ends the time in which Sweep leaves an ID alone.
func (l *Launcher) made(id sessions.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.making, id)
}

func (w *launch) run(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"image", w.leaseImage},
		{"directories", w.makeDirs},
		{"link", w.makeLink},
		{"disk", w.makeDisk},
		{"cgroup", w.makeCgroup},
		{"idmap", w.makeIDs},
		{"mounts", w.openMounts},
		{"socket", w.makeSocket},
		{"process", w.start},
		{"network", w.connect},
		{"state", w.writeState},
		{"ready", w.waitReady},
	}
	for _, s := range steps {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := w.Trace(s.name)
		if err == nil {
			err = s.do(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (w *launch) closeFiles() {
	for _, f := range w.files {
		_ = f.Close() // our copies of what the sandbox has; nothing is buffered in them
	}
}

func (w *launch) leaseImage(context.Context) error {
	image, err := w.Images.Use(w.lease(w.id), w.spec.Image)
	w.image = image
	return err
}

func (w *launch) makeDirs(context.Context) error {
	run := w.runDir(w.id)
	if err := errors.Join(makeDir(run, 0o711), makeDir(w.diskDir(w.id), 0o700)); err != nil {
		return err
	}
	return makeStage(filepath.Join(run, "stage"))
}

func (w *launch) makeLink(ctx context.Context) error {
	link, err := w.Network.Allocate(ctx, string(w.id))
	w.link = link
	return err
}

// uid is the sandbox's root user on the host: the slot of its network link is its place among the ranges too.
func (w *launch) uid() int { return int(w.UIDBase) + w.link.Slot*idRange }

func (w *launch) makeDisk(ctx context.Context) error {
	return disk.Create(ctx, w.diskPath(w.id), w.spec.Limits, w.DiskReserve)
}

func (w *launch) makeCgroup(ctx context.Context) error {
	group, err := w.Cgroups.Create(ctx, string(w.id), w.spec.Limits, w.uid(), w.uid())
	w.group = group
	return err
}

func (w *launch) makeIDs(context.Context) error {
	ids, err := newUserNamespace(w.uid(), idRange)
	if err != nil {
		return err
	}
	w.ids, w.files = ids, append(w.files, ids)
	return nil
}

func (w *launch) openMounts(ctx context.Context) error {
	open := []struct {
		name string
		from func() (*os.File, error)
	}{
		{"disk", func() (*os.File, error) { return disk.Attach(ctx, w.diskPath(w.id)) }},
		{"layers", func() (*os.File, error) { return disk.CloneTree(w.Images.LayersDir(), false, true) }},
		{"programs", func() (*os.File, error) {
			return disk.CloneTree(filepath.Join(w.programsDir(), w.Launcher.programs), false, true)
		}},
	}
	for _, m := range open {
		f, err := m.from()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		w.files = append(w.files, f)
		if err := disk.Idmap(f, w.ids); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		w.mounts = append(w.mounts, stagedMount{m.name, f})
	}
	return nil
}

func (w *launch) makeSocket(context.Context) error {
	path := w.socket(w.id)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // the sandbox goes on listening
	defer l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	f, err := l.File()
	if err != nil {
		return err
	}
	w.listen, w.files = f, append(w.files, f)
	return nil
}

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
		Stderr: log, ExtraFiles: []*os.File{config, w.listen, theirs}, // in the order of boot.ConfigFD…
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
		DNS:   []string{w.link.Gateway.String()},
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
	w.state = state{ID: w.id, PID: w.process.pid, Slot: w.link.Slot, Cgroup: w.group, Limits: w.spec.Limits, Programs: w.Launcher.programs}
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
