package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	bkexecutor "github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
)

// undoTimeout bounds the end of a step: of its processes, mounts and interfaces.
const undoTimeout = 30 * time.Second

// executor runs steps as containers of our own runc. It is BuildKit's executor.Executor.
type executor struct {
	o       Options
	steps   sync.WaitGroup
	mu      sync.Mutex
	running map[string]*step
}

func newExecutor(o Options) *executor { return &executor{o: o, running: map[string]*step{}} }

// wait returns when no step runs any more.
func (e *executor) wait() { e.steps.Wait() }

// step is one container: of a RUN, of a frontend's own, or of a debug shell.
type step struct {
	id      string
	group   string // control group
	spec    oci.Container
	rootfs  string
	process *process.Process
	started chan struct{} // closed when process is set
	ended   chan struct{} // closed when it is being taken away
}

// Run runs a container to the end of its first process. Nothing of it is left when Run returns.
func (e *executor) Run(
	ctx context.Context, id string, root bkexecutor.Mount, mounts []bkexecutor.Mount, p bkexecutor.ProcessInfo, started chan<- struct{},
) (_ resourcestypes.Recorder, err error) {
	begun := sync.OnceFunc(func() {
		if started != nil {
			close(started)
		}
	})
	defer begun()
	if id == "" {
		id = identity.NewID()
	}
	if err := bkexecutor.ValidContainerID(id); err != nil {
		return nil, err
	}
	s := &step{id: id, group: boot.Payload + "/build/" + id, started: make(chan struct{}), ended: make(chan struct{})}
	if err := e.add(s); err != nil {
		return nil, err
	}
	defer e.remove(s)
	var undo undos
	defer guard(e.o.Log, &err) // after what was begun has been undone
	defer func() {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if failed := undo.run(undoing); failed != nil {
			e.o.Log.Error("a build step is not cleaned up", "step", id, "error", failed)
			if err == nil {
				err = failed
			}
		}
	}()
	if err := e.prepare(ctx, s, root, mounts, p.Meta, &undo); err != nil {
		return nil, err
	}
	return nil, e.run(ctx, s, p, begun, &undo)
}

func (e *executor) add(s *step) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[s.id] != nil {
		return fmt.Errorf("container %s exists already", s.id)
	}
	e.running[s.id] = s
	e.steps.Add(1)
	return nil
}

func (e *executor) remove(s *step) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, s.id)
	close(s.ended)
	e.steps.Done()
}

// run starts the container's first process and waits for its end.
func (e *executor) run(ctx context.Context, s *step, p bkexecutor.ProcessInfo, begun func(), undo *undos) error {
	spec, err := oci.Spec(s.spec)
	if err != nil {
		return err
	}
	streams, err := openStreams(p)
	if err != nil {
		return err
	}
	defer streams.close()
	undo.add(func(ctx context.Context) error { return e.o.Runtime.Forget(ctx, s.id, s.group) })
	proc, master, err := e.o.Runtime.Start(ctx, s.id, e.bundle(s.id), spec, streams.files)
	if err != nil {
		return startError(ctx, err)
	}
	s.process = proc
	close(s.started)
	begun()
	status, err := streams.attend(ctx, proc, master, p)
	if err != nil {
		return canceled(err)
	}
	return exitError(status, e.o.Runtime.Cgroups.Killed(s.group) > 0, p.Meta.ValidExitCodes)
}

// Exec runs a process in a container that Run has started, or is about to.
func (e *executor) Exec(ctx context.Context, id string, p bkexecutor.ProcessInfo) (err error) {
	defer guard(e.o.Log, &err)
	e.mu.Lock()
	s := e.running[id]
	e.mu.Unlock()
	if s == nil {
		return fmt.Errorf("container %s not found", id)
	}
	select {
	case <-s.started:
	case <-s.ended:
		return fmt.Errorf("container %s has stopped", id)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	e.steps.Add(1)
	defer e.steps.Done()
	spec, err := s.execSpec(p.Meta)
	if err != nil {
		return err
	}
	streams, err := openStreams(p)
	if err != nil {
		return err
	}
	defer streams.close()
	var proc *process.Process
	var master *os.File
	if p.Meta.Tty {
		proc, master, err = e.o.Runtime.ExecTTY(ctx, id, spec)
	} else {
		proc, err = e.o.Runtime.Exec(ctx, id, spec, streams.files)
	}
	if err != nil {
		return startError(ctx, err)
	}
	status, err := streams.attend(ctx, proc, master, p)
	if err != nil {
		return canceled(err)
	}
	return exitError(status, false, p.Meta.ValidExitCodes)
}

// startError is the error of a program that runc could not start, with a shell's exit code: clients show it.
func startError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return canceled(context.Cause(ctx))
	}
	var said *oci.Error
	if !errors.As(err, &said) {
		return err
	}
	return &gatewayapi.ExitError{ExitCode: notFoundCode, Err: err}
}

// Exit codes of programs that did not start, or whose end nobody has seen, as BuildKit has them.
const (
	notFoundCode = 127
	unknownCode  = gatewayapi.UnknownExitStatus
)

func canceled(err error) error { return &gatewayapi.ExitError{ExitCode: unknownCode, Err: err} }

// exitError is nil for an exit code that was expected.
func exitError(status process.Status, outOfMemory bool, valid []int) error {
	if valid == nil {
		valid = []int{0}
	}
	for _, code := range valid {
		if status.Code == code {
			return nil
		}
	}
	err := &gatewayapi.ExitError{ExitCode: uint32(status.Code)}
	if outOfMemory && status.Signal == unix.SIGKILL {
		err.Err = fmt.Errorf("process was killed: the session's memory is spent: %w", syscall.ENOMEM)
	}
	return err
}

// undos are what is to be undone, the last first.
type undos struct{ steps []func(context.Context) error }

func (u *undos) add(f func(context.Context) error) { u.steps = append(u.steps, f) }

func (u *undos) run(ctx context.Context) error {
	var err error
	for i := len(u.steps) - 1; i >= 0; i-- {
		err = errors.Join(err, u.steps[i](ctx))
	}
	return err
}
