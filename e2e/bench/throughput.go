package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/creack/pty"
)

const throughputSamples = 5

// throughput compares what a program writes to its terminal as a viewer of the session gets it with the same read from a
// PTY of the host directly.
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
		what: "terminal throughput", ours: fmt.Sprintf("%.0f MB/s", medianOf(ours)), peer: fmt.Sprintf("PTY read directly %.0f MB/s", medianOf(direct)),
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

func (b *bench) directFlow(ctx context.Context) (float64, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", b.script())
	tty, err := pty.Start(cmd)
	if err != nil {
		return 0, err
	}
	defer tty.Close()
	buf := make([]byte, 64<<10)
	n, began := 0, time.Time{}
	for n < b.bytes {
		k, err := tty.Read(buf)
		if err != nil {
			return 0, err
		}
		if began.IsZero() {
			began = time.Now()
		}
		n += k
	}
	speed := float64(b.bytes) / 1e6 / time.Since(began).Seconds()
	return speed, cmd.Wait()
}

func trimmed(s string) string { return strings.TrimSpace(s) }
