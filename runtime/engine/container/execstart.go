package container

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/runtime/engine/stdio"
)

// ExecStart starts an exec, once. With attach it calls attach.Ready before the start, and returns when the client's streams
// are over and the exit code is known; else at once. The error of a program that cannot be run is Docker's; its exit code is
// told by ExecInspect.
func (m *Manager) ExecStart(ctx context.Context, id string, size *[2]uint, attach *stdio.AttachOptions) error {
	e, err := m.claim(id)
	if err != nil {
		return err
	}
	if attach == nil {
		return m.startExec(ctx, e, size)
	}
	started := make(chan error, 1)
	a, ready := e.limit(*attach), make(chan struct{})
	once := sync.OnceFunc(func() { close(ready) })
	a.Ready = func() {
		if attach.Ready != nil {
			attach.Ready()
		}
		once()
	}
	attached, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ended by its own result
		<-ready
		err := m.startExec(attached, e, size)
		if err != nil {
			e.hub.Close()
		}
		started <- err
	}()
	err = e.hub.Attach(attached, a)
	once()
	if failed := <-started; failed != nil {
		return failed
	}
	if err == nil {
		select { // its exit code is asked for next
		case <-e.done:
		case <-ctx.Done():
		}
	}
	return err
}

// startExec starts the process and watches it.
func (m *Manager) startExec(ctx context.Context, e *Exec, size *[2]uint) error {
	ctx = context.WithoutCancel(ctx) // what runs is not left unwatched
	err := m.launchExec(ctx, e, size)
	if err != nil {
		e.mu.Lock()
		code := codeOf(err)
		e.code, e.running, e.over = &code, false, time.Now()
		e.mu.Unlock()
		return e.startError(err)
	}
	m.publish(e.container, events.Action(string(events.ActionExecStart)+": "+strings.Join(e.request.Cmd, " ")), map[string]string{"execID": e.id})
	m.bg.Go(func() { m.watchExec(e) })
	return nil
}

func (m *Manager) launchExec(ctx context.Context, e *Exec, size *[2]uint) error {
	c := e.container
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return notRunning(c)
	}
	p, err := e.describe(c, r, size)
	if err != nil {
		return err
	}
	spec, err := oci.ExecSpec(r.spec, p)
	if err != nil {
		return err
	}
	var started *process.Process
	if e.request.Tty {
		started, err = m.launchExecTTY(ctx, e, spec)
	} else {
		started, err = m.launchExecPiped(ctx, e, spec)
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.process, e.running = started, true
	e.mu.Unlock()
	return nil
}

func (m *Manager) launchExecTTY(ctx context.Context, e *Exec, spec *specs.Process) (*process.Process, error) {
	started, master, err := m.o.Runtime.ExecTTY(ctx, e.container.id, spec)
	if err != nil {
		return nil, err
	}
	return started, e.hub.Start(stdio.Streams{
		Stdin: terminalInput(master, e.request.AttachStdin), Stdout: master, Resize: resizer(master),
	})
}

// launchExecPiped reads the output from before the start on, as launchPiped does.
func (m *Manager) launchExecPiped(ctx context.Context, e *Exec, spec *specs.Process) (*process.Process, error) {
	ours, theirs, err := pipes(e.request.AttachStdin)
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs)
	if err := e.hub.Start(pipeStreams(ours, nil)); err != nil {
		return nil, err
	}
	started, err := m.o.Runtime.Exec(ctx, e.container.id, spec, theirs)
	if err != nil {
		closeAll(theirs)
		e.hub.Close()
	}
	return started, err
}

// describe is the process: the request over the container.
func (e *Exec) describe(c *Container, r *run, size *[2]uint) (p oci.Process, err error) {
	who, more := e.request.User, []string(nil)
	if who == "" {
		who, more = r.spec.Config.User, r.spec.Host.GroupAdd
	}
	p = oci.Process{Args: e.request.Cmd, TTY: e.request.Tty, Privileged: e.request.Privileged, Cwd: e.request.WorkingDir}
	var home string
	if p.User, home, err = lookupUser(r.spec.Rootfs, who, more); err != nil {
		return p, err
	}
	switch {
	case p.Cwd == "":
		p.Cwd = path.Clean("/" + c.rec.Config.WorkingDir)
	case !path.IsAbs(p.Cwd):
		return p, invalid("Cwd must be an absolute path")
	}
	env := append([]string{}, r.spec.Env...)
	if e.request.Tty {
		env = replaceEnv(env, []string{"TERM=xterm"})
	}
	p.Env = replaceEnv(env, e.request.Env)
	if !slices.ContainsFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		p.Env = append(p.Env, "HOME="+home) // as runc does for a container's first process
	}
	for _, s := range []*[2]uint{e.request.ConsoleSize, size} {
		if s != nil {
			p.Size = *s
		}
	}
	return p, nil
}

// execSays is how Docker's error begins where runc has failed.
const execSays = "OCI runtime exec failed: exec failed: "

func (e *Exec) startError(err error) error {
	var failed *oci.Error
	if !errors.As(err, &failed) {
		return err
	}
	m := execSays + strings.TrimPrefix(failed.Message, "exec failed: ") + ": unknown"
	if codeOf(err) == codeUnknown {
		return errors.New(m)
	}
	return invalid("%s", m)
}

// watchExec waits for the end of an exec.
func (m *Manager) watchExec(e *Exec) {
	select {
	case <-e.process.Done():
	case <-m.ctx.Done():
		return
	}
	e.hub.Drain(m.ctx)
	code := e.process.Status().Code
	e.mu.Lock()
	e.code, e.running, e.over = &code, false, time.Now()
	e.mu.Unlock()
	close(e.done)
	m.publish(e.container, events.ActionExecDie, map[string]string{"execID": e.id, "exitCode": strconv.Itoa(code)})
}

// endExecs waits for the execs of a container whose processes have been ended.
func (m *Manager) endExecs(ctx context.Context, c *Container) {
	m.mu.RLock()
	var list []*Exec
	for _, e := range m.execs {
		if e.container == c {
			list = append(list, e)
		}
	}
	m.mu.RUnlock()
	for _, e := range list {
		e.mu.Lock()
		running, p := e.running, e.process
		e.mu.Unlock()
		if !running {
			continue
		}
		if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			m.warn(c, "exec is not ended", err)
		}
		if _, err := p.Wait(ctx); err != nil {
			m.warn(c, "exec does not end", err)
		}
	}
}

// limit leaves out the streams that the exec does not attach.
func (e *Exec) limit(a stdio.AttachOptions) stdio.AttachOptions {
	if !e.request.AttachStdin {
		a.Stdin = nil
	}
	if !e.request.AttachStdout {
		a.Stdout = nil
	}
	if !e.request.AttachStderr {
		a.Stderr = nil
	}
	a.DetachKeys = e.keys
	return a
}
