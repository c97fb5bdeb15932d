package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const idleWatch = 15 * time.Second // over which idle processor time is counted

const (
	memoryGoal = 12e6 // bytes a session
	cpuGoal    = 0.02 // of a core
)

// together opens n sessions at once and returns them with the errors of those that failed.
func (b *bench) together(ctx context.Context, env string, n int) ([]*machine, time.Duration, error) {
	machines, errs := make([]*machine, n), make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		wg.Go(func() { machines[i], errs[i] = b.open(ctx, env) })
	}
	wg.Wait()
	return machines, time.Since(began), errors.Join(errs...)
}

func (b *bench) endAll(ctx context.Context, machines []*machine) error {
	errs := make([]error, len(machines))
	var wg sync.WaitGroup
	for i, m := range machines {
		if m != nil {
			wg.Go(func() { errs[i] = b.end(ctx, m) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// burst opens many sessions at once.
func (b *bench) burst(ctx context.Context, r *report) error {
	n := b.options.burst
	machines, took, err := b.together(ctx, "debian-cold", n)
	ready := 0
	for _, m := range machines {
		if m != nil {
			ready++
		}
	}
	if err != nil {
		r.remark("sessions at once: %v", err)
	}
	began := time.Now()
	if err := b.endAll(ctx, machines); err != nil {
		return err
	}
	r.add(row{
		what: fmt.Sprintf("%d sessions at once", n), ours: fmt.Sprintf("%d ready, %d failed, %.1f/s; all ended in %.1f s", ready, n-ready,
			float64(n)/took.Seconds(), time.Since(began).Seconds()), goal: "all ready", met: ready == n, count: n,
	})
	return nil
}

// idle measures what sessions hold that nobody types in.
func (b *bench) idle(ctx context.Context, r *report) error {
	n, pid := b.options.idle, b.server.cmd.Process.Pid
	before, err := memoryOf(pid)
	if err != nil {
		return err
	}
	machines, _, err := b.together(ctx, "debian-cold", n)
	if err != nil {
		return errors.Join(err, b.endAll(ctx, machines))
	}
	if err := b.drain(ctx, machines); err != nil {
		return err
	}
	used, err := cpuOver(ctx, pid, idleWatch)
	if err != nil {
		return err
	}
	m, err := b.crowdMemory(machines, before)
	if err != nil {
		return err
	}
	each := float64(m.engine+m.init+m.server) / float64(n)
	r.add(row{
		what: fmt.Sprintf("memory of an idle session of %d", n), ours: fmt.Sprintf("%.1f MB private", each/1e6), goal: "≤ 12 MB", met: each <= memoryGoal, count: n,
	})
	r.remark("an idle session's memory: berth sandbox %.1f MB, docker-init %.1f MB, growth of the server %.1f MB", float64(m.engine)/float64(n)/1e6,
		float64(m.init)/float64(n)/1e6, float64(m.server)/float64(n)/1e6)
	r.add(row{
		what: fmt.Sprintf("server's CPU with %d idle sessions", n), ours: fmt.Sprintf("%.2f %% of a core", used*100), goal: "< 2 %", met: used < cpuGoal, count: n,
	})
	return b.endAll(ctx, machines)
}

// drain reads what the terminals have shown, as a browser does: each viewer goes on doing so in the background.
func (b *bench) drain(ctx context.Context, machines []*machine) error {
	settled, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, m := range machines {
		wg.Go(func() {
			for settled.Err() == nil {
				if _, err := m.term.Next(settled); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
