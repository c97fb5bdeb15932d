package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/process"
	"berth/runtime/engine/stdio"
)

// probe runs one check.
func (m *Manager) probe(ctx context.Context, c *Container, r *run, args []string, timeout time.Duration) *api.HealthcheckResult {
	result := &api.HealthcheckResult{Start: time.Now()}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errProbeTime)
	defer cancel()
	code, output, err := m.runProbe(ctx, c, r, args)
	result.End, result.ExitCode, result.Output = time.Now(), code, output
	switch {
	case errors.Is(err, errProbeTime):
		result.ExitCode = probeFailed
		result.Output = fmt.Sprintf("Health check exceeded timeout (%v): %s", timeout, output)
	case err != nil:
		result.ExitCode, result.Output = probeFailed, err.Error()
	}
	return result
}

var errProbeTime = errors.New("the health check took too long")

// runProbe runs a command in the container, and kills it when ctx ends.
func (m *Manager) runProbe(ctx context.Context, c *Container, r *run, args []string) (code int, output string, err error) {
	e := &Exec{container: c, request: api.ExecCreateRequest{Cmd: args}}
	p, err := e.describe(c, r, nil)
	if err != nil {
		return probeFailed, "", err
	}
	spec, err := oci.ExecSpec(r.spec, p)
	if err != nil {
		return probeFailed, "", err
	}
	ours, theirs, err := pipes(false)
	if err != nil {
		return probeFailed, "", err
	}
	out, hub := &bounded{}, stdio.NewHub(stdio.HubOptions{Logger: m.o.Log})
	attached := make(chan struct{})
	var viewer sync.WaitGroup
	viewer.Go(func() { // to its end
		_ = hub.Attach(m.ctx, stdio.AttachOptions{Stdout: out, Stderr: out, Ready: func() { close(attached) }})
	})
	defer viewer.Wait()
	<-attached
	if err := hub.Start(pipeStreams(ours, nil)); err != nil {
		closeAll(theirs)
		return probeFailed, "", err
	}
	started, err := m.o.Runtime.Exec(ctx, c.id, spec, theirs)
	closeAll(theirs)
	if err != nil {
		hub.Close()
		return probeFailed, "", e.startError(err)
	}
	status, err := started.Wait(ctx)
	if err != nil {
		status, err = process.Status{Code: probeFailed}, errors.Join(err, ended(started))
	}
	hub.Drain(context.WithoutCancel(ctx))
	viewer.Wait()
	return status.Code, out.String(), err
}

func ended(p *process.Process) error {
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// bounded keeps the beginning of what is written.
type bounded struct {
	b   bytes.Buffer
	cut bool
}

func (w *bounded) Write(p []byte) (int, error) {
	room := max(probeOutput-w.b.Len(), 0)
	w.cut = w.cut || len(p) > room
	w.b.Write(p[:min(len(p), room)])
	return len(p), nil
}

func (w *bounded) String() string {
	if w.cut {
		return w.b.String() + "..."
	}
	return w.b.String()
}
