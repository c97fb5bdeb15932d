package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/gateway/container"
	"github.com/moby/buildkit/identity"
	bksession "github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/process"
	"berth/terminal"
)

// maxTerminals bounds the terminals in steps that are open at a time.
const maxTerminals = 4

// Terminal prepares a terminal in the state of a step. Start starts its program, each time in the same state anew; name is
// free for it. Errors are errdefs.ErrNotFound where nothing is kept of the step, and errdefs.ErrConflict.
func (s *States) Terminal(build, step string) (name string, start terminal.Start, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxTerminals {
		return "", nil, fmt.Errorf("%d terminals in steps of builds are open: end one first: %w", s.open, errdefs.ErrConflict)
	}
	if b := s.builds[build]; b == nil || b.steps[step] == nil {
		return "", nil, fmt.Errorf("of this step nothing is kept: it has not finished, made no files, or its build is too long ago. Build again: %w",
			errdefs.ErrNotFound)
	}
	s.opened++
	return fmt.Sprintf("%s%d", NamePrefix, s.opened), func(ctx context.Context, _ string, size terminal.Size) (terminal.Process, error) {
		return s.start(ctx, build, step, size)
	}, nil
}

// NamePrefix begins the names of terminals in steps.
const NamePrefix = "debug-"

// visit is one program in a step's container.
type visit struct {
	states    *States
	build     string
	container gateway.Container
	refs      []*worker.WorkerRef
	attached  chan struct{} // closed when process and master are set
	once      sync.Once
	process   *process.Process
	master    *os.File
	over      chan struct{} // closed when the executor is done with it
	err       error         // of the executor; valid when over is closed
	unwanted  bool          // the build was forgotten; guarded by states.mu
}

// start makes a container of a step's files and starts a shell in it. What the shell changes is thrown away at its end.
func (s *States) start(ctx context.Context, build, step string, size terminal.Size) (_ terminal.Process, err error) {
	st := s.find(build, step)
	if st == nil {
		return nil, fmt.Errorf("the files of this step are no longer kept: build again: %w", errdefs.ErrNotFound)
	}
	x := &visit{states: s, build: build, attached: make(chan struct{}), over: make(chan struct{})}
	if err := s.enter(x); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			x.release(context.WithoutCancel(ctx))
		}
	}()
	// The container outlives the request that opened it: the terminal ends it by a signal.
	ctx = context.WithoutCancel(ctx)
	if x.refs, err = st.refs(ctx); err != nil {
		return nil, err
	}
	if err := x.open(ctx, st); err != nil {
		return nil, err
	}
	if err := x.run(ctx, st, size); err != nil {
		return nil, err
	}
	return x, nil
}

// enter counts a terminal.
func (s *States) enter(x *visit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.builds[x.build]
	switch {
	case s.closed || b == nil:
		return fmt.Errorf("the build was forgotten: %w", errdefs.ErrNotFound)
	case s.open >= maxTerminals:
		return fmt.Errorf("%d terminals in steps of builds are open: end one first: %w", s.open, errdefs.ErrConflict)
	}
	s.open++
	b.visits[x] = struct{}{}
	return nil
}

func (s *States) leave(x *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if b := s.builds[x.build]; b != nil {
		delete(b.visits, x)
		if len(b.steps) == 0 && len(b.visits) == 0 {
			delete(s.builds, x.build)
		}
	}
}

func (x *visit) open(ctx context.Context, st *state) error {
	req := container.NewContainerRequest{ContainerID: identity.NewID(), Hostname: st.meta.GetHostname()}
	var at worker.Worker
	for i, m := range st.mounts {
		ref := x.refs[i]
		if ref == nil && m.MountType == pb.MountType_BIND && m.Dest != pb.RootMount {
			continue
		}
		if ref != nil {
			at = ref.Worker
		}
		req.Mounts = append(req.Mounts, container.Mount{Mount: m.CloneVT(), WorkerRef: ref})
	}
	if at == nil {
		return fmt.Errorf("this step has no files: %w", errdefs.ErrNotFound)
	}
	var err error
	x.container, err = container.NewContainer(ctx, at.CacheManager(), at.Executor(), nil, bksession.NewGroup(), req)
	return err
}

// shells are looked for in this order.
var shells = [...]string{"/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/busybox/sh"}

func (x *visit) shell(ctx context.Context) (string, error) {
	for _, path := range shells {
		if _, err := x.container.StatFile(ctx, gateway.StatContainerRequest{StatRequest: gateway.StatRequest{Path: path}}); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the files of this step have no shell: %w", errdefs.ErrNotFound)
}

// run starts the shell and waits until it has its terminal.
func (x *visit) run(ctx context.Context, st *state, size terminal.Size) error {
	shell, err := x.shell(ctx)
	if err != nil {
		return err
	}
	p, err := x.container.Start(ctx, gateway.StartRequest{
		Args: []string{shell}, Env: st.env(), User: st.meta.GetUser(), Cwd: st.meta.GetCwd(), Tty: true, Stdout: x,
	})
	if err != nil {
		return err
	}
	go func() {
		x.err = p.Wait()
		close(x.over)
	}()
	select {
	case <-x.attached:
		if x.states.wanted(x) {
			return terminal.SetSize(x.master, size)
		}
		_ = x.process.Signal(unix.SIGKILL) // it may have ended
		<-x.over
		return fmt.Errorf("the build was forgotten: %w", errdefs.ErrNotFound)
	case <-x.over:
		if x.err == nil {
			x.err = errors.New("the shell ended before it had a terminal")
		}
		return x.err
	}
}

func (st *state) env() []string {
	env := append([]string(nil), st.meta.GetEnv()...)
	for _, kv := range env {
		if len(kv) > 5 && kv[:5] == "TERM=" {
			return env
		}
	}
	return append(env, "TERM=xterm-256color")
}

// Attach is of build.Console: the executor hands over what it has started.
func (x *visit) Attach(p *process.Process, master *os.File) {
	x.once.Do(func() {
		x.process, x.master = p, master
		close(x.attached)
	})
}

// Write is of io.Writer: no output comes this way.
func (x *visit) Write(b []byte) (int, error) { return len(b), nil }

// Close is of io.Closer.
func (x *visit) Close() error { return nil }

// PTY is of terminal.Process.
func (x *visit) PTY() *os.File { return x.master }

// Wait is of terminal.Process. When it returns, nothing is left of the container.
func (x *visit) Wait() terminal.Exit {
	<-x.process.Done()
	status := x.process.Status()
	<-x.over
	x.release(x.states.ctx) // the terminal's context may have ended
	exit := terminal.Exit{Code: status.Code}
	if status.Signal != 0 {
		exit.Signal = unix.SignalName(status.Signal)
	}
	return exit
}

// Signal is of terminal.Process.
func (x *visit) Signal(sig unix.Signal) error { return x.process.Signal(sig) }

// kill ends the program, also one that is being started. The caller holds states.mu.
func (x *visit) kill() {
	x.unwanted = true
	select {
	case <-x.attached:
		_ = x.process.Signal(unix.SIGKILL) // it may have ended
	default:
	}
}

func (s *States) wanted(x *visit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !x.unwanted
}

func (x *visit) release(ctx context.Context) {
	if x.container != nil {
		if err := x.container.Release(ctx); err != nil {
			x.states.log.Debug("the container of a step ended", "error", err)
		}
	}
	for _, ref := range x.refs {
		if ref != nil && ref.ImmutableRef != nil {
			if err := ref.ImmutableRef.Release(ctx); err != nil {
				x.states.log.Warn("release the files of a step", "error", err)
			}
		}
	}
	x.states.leave(x)
	x.states.freed() // what was changed in it
}
