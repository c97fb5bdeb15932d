package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const throughputSamples = 5

// throughput compares what a program writes to its terminal as a viewer of the session gets it with the same read from a
// PTY of the host directly, on as many CPUs as the session has: one.
func (b *bench) throughput(ctx context.Context, r *report) error {
	m, err := b.open(ctx, "debian-cold")
	if err != nil {
		return err
	}
	var ours, direct, ratios []float64
	for range throughputSamples {
		one, err := b.flow(ctx, m)
		if err != nil {
			return errors.Join(err, b.end(ctx, m))
		}
		other, err := b.directFlow(ctx)
		if err != nil {
			return errors.Join(err, b.end(ctx, m))
		}
		ours, direct, ratios = append(ours, one), append(direct, other), append(ratios, one/other)
	}
	ratio := medianOf(ratios)
	r.add(row{
		what: "terminal throughput", ours: fmt.Sprintf("%.0f MB/s", medianOf(ours)), peer: fmt.Sprintf("PTY read directly, one CPU, %.0f MB/s", medianOf(direct)),
		ratio: ratio, goal: "≥ 0.5×", met: ratio >= 0.5, count: throughputSamples,
	})
	return b.end(ctx, m)
}

func (b *bench) script() string {
	return fmt.Sprintf("stty -opost; head -c %d /dev/zero; stty opost", b.bytes)
}

// flow counts the zeros, which nothing else writes, from the first to the last, and returns MB/s.
func (b *bench) flow(ctx context.Context, m *machine) (float64, error) {
	if _, err := m.term.Write([]byte(b.script() + "\r")); err != nil {
		return 0, err
	}
	n, began := 0, time.Time{}
	err := m.output(ctx, func(p []byte) bool {
		n += bytes.Count(p, []byte{0})
		if n > 0 && began.IsZero() {
			began = time.Now()
		}
		return n >= b.bytes
	})
	return float64(b.bytes) / 1e6 / time.Since(began).Seconds(), err
}

// directFlow reads a PTY in a process of its own that has one CPU, program and reader together, as the session has.
func (b *bench) directFlow(ctx context.Context) (float64, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-bytes", strconv.Itoa(b.bytes), "direct")
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := onOneCPU(cmd.Start); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("read a PTY directly: %w", err)
	}
	return strconv.ParseFloat(trimmed(out.String()), 64)
}

// onOneCPU calls start on a thread with one CPU: what it starts inherits that (sched_setaffinity(2)).
func onOneCPU(start func() error) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &all))
}

// beDirect is the other process: it prints MB/s.
func beDirect(ctx context.Context, o options) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", (&bench{options: o}).script())
	tty, err := pty.Start(cmd)
	if err != nil {
		return err
	}
	defer tty.Close()
	buf := make([]byte, 64<<10)
	n, began := 0, time.Time{}
	for n < o.bytes {
		k, err := tty.Read(buf)
		if err != nil {
			return err
		}
		if began.IsZero() {
			began = time.Now()
		}
		n += k
	}
	fmt.Println(float64(o.bytes) / 1e6 / time.Since(began).Seconds())
	return cmd.Wait()
}

func trimmed(s string) string { return strings.TrimSpace(s) }
