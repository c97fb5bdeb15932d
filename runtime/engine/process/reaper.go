// Package process starts processes and waits for them in a program that is PID 1: every orphan of the sandbox becomes
// its child, so that nobody but one reaper may call wait.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// keptExits is how many exits of processes that nobody has claimed yet are remembered. A process that runc starts
// detached may end before its PID is known; only so many can end in that short time.
const keptExits = 1024

// Status is how a process ended: an exit code, or a signal and 128 plus its number as the code, as shells say it.
type Status struct {
	Code   int
	Signal unix.Signal // 0: it exited by itself
}

// Process is a started process.
type Process struct {
	PID    int
	done   chan struct{}
	status Status // valid when done is closed
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process.
func (p *Process) Wait(ctx context.Context) (Status, error) {
	select {
	case <-p.done:
		return p.status, nil
	case <-ctx.Done():
		return Status{}, context.Cause(ctx)
	}
}

// Status is how the process ended. Done must be closed.
func (p *Process) Status() Status { return p.status }

// Signal sends a signal to the process; to a process that has ended it is an error (ESRCH).
func (p *Process) Signal(sig unix.Signal) error {
	select {
	case <-p.done:
		return unix.ESRCH
	default:
		return unix.Kill(p.PID, sig)
	}
}

// Reaper is the one waiter of a PID 1. The zero value is ready; run Run before anything is started.
type Reaper struct {
	mu        sync.Mutex
	running   map[int]*Process
	unclaimed map[int]exit
	order     []int // PIDs of unclaimed, oldest first
	clock     uint64
}

type exit struct {
	status Status
	at     uint64
}

// Run reaps until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	children := make(chan os.Signal, 1) // one is enough: every wake-up reaps all there are
	signal.Notify(children, unix.SIGCHLD)
	defer signal.Stop(children)
	for {
		r.reap()
		select {
		case <-children:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 { // ECHILD: there are none
			return
		}
		if ws.Exited() || ws.Signaled() {
			r.ended(pid, statusOf(ws))
		}
	}
}

func statusOf(ws unix.WaitStatus) Status {
	if ws.Signaled() {
		return Status{Code: 128 + int(ws.Signal()), Signal: ws.Signal()}
	}
	return Status{Code: ws.ExitStatus()}
}

func (r *Reaper) ended(pid int, s Status) {
	r.clock++
	if p, ok := r.running[pid]; ok {
		delete(r.running, pid)
		p.status = s
		close(p.done)
		return
	}
	if r.unclaimed == nil {
		r.unclaimed = make(map[int]exit)
	}
	r.unclaimed[pid] = exit{s, r.clock}
	r.order = append(r.order, pid)
	if len(r.order) > keptExits {
		delete(r.unclaimed, r.order[0])
		r.order = r.order[1:]
	}
}

// Start starts a program. The process is known to the reaper before it can end.
func (r *Reaper) Start(path string, argv []string, attr *os.ProcAttr) (*Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	child, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	p := r.register(child.Pid)
	return p, child.Release()
}

// PIDFD opens a descriptor of a process (pidfd_open(2)), which never means another that gets its number later. Of a process
// that has ended there is none: ESRCH.
func (r *Reaper) PIDFD(p *Process) (*os.File, error) {
	r.mu.Lock() // nobody is reaped meanwhile
	defer r.mu.Unlock()
	select {
	case <-p.done:
		return nil, unix.ESRCH
	default:
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// Mark is a moment in the reaper's time, for Adopt.
type Mark uint64

// Now returns the present moment.
func (r *Reaper) Now() Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Mark(r.clock)
}

// Adopt makes a Process of one that somebody else started after since and that has become, or will become, our child.
// It may have ended already.
func (r *Reaper) Adopt(pid int, since Mark) *Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.unclaimed[pid]; ok && e.at > uint64(since) {
		delete(r.unclaimed, pid)
		p := &Process{PID: pid, done: make(chan struct{}), status: e.status}
		close(p.done)
		return p
	}
	return r.register(pid)
}

func (r *Reaper) register(pid int) *Process {
	if r.running == nil {
		r.running = make(map[int]*Process)
	}
	p := &Process{PID: pid, done: make(chan struct{})}
	r.running[pid] = p
	return p
}
