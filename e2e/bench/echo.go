package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"berth/client"
	"berth/sessions"
	"berth/terminal"
)

// echoGoal is how long a keystroke may take, there and back.
const echoGoal = time.Millisecond

// echoRounds is how often the neighbour begins and stops.
const echoRounds = 5

// typingPause is between two keystrokes: nobody types faster.
const typingPause = 5 * time.Millisecond

// echo measures keystrokes in a shell, alone and beside a neighbour that floods its terminal, in turn.
func (b *bench) echo(ctx context.Context, r *report) (err error) {
	typist, err := b.open(ctx, "debian-cold")
	if err != nil {
		return err
	}
	neighbour, err := b.open(ctx, "debian-cold")
	if err != nil {
		return errors.Join(err, b.end(ctx, typist))
	}
	defer func() { err = errors.Join(err, b.end(ctx, typist), b.end(ctx, neighbour)) }()
	if err := neighbour.term.Close(); err != nil { // its viewer is another process
		return err
	}
	if err := typist.settle(ctx); err != nil {
		return err
	}
	bare, err := newBareShell(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()
	n := b.strokes / echoRounds
	var idle, busy, bareIdle, bareBusy samples
	for range echoRounds {
		if err := errors.Join(strokes(ctx, typist, n, &idle), strokes(ctx, bare, n, &bareIdle)); err != nil {
			return err
		}
		flood, err := b.startNeighbour(ctx, neighbour)
		if err != nil {
			return err
		}
		err = errors.Join(strokes(ctx, typist, n, &busy), strokes(ctx, bare, n, &bareBusy), flood.stop())
		if err != nil {
			return err
		}
	}
	r.add(row{what: "keystroke to echo", ours: spread(idle), goal: "p50 ≤ 1 ms", met: idle.median() <= echoGoal, count: len(idle)})
	ratio := float64(busy.p99()) / float64(idle.p99())
	r.add(row{
		what: "keystroke p99 beside yes", ours: spread(busy), peer: "its idle " + spread(idle), ratio: ratio, goal: "p99 ≤ 2×",
		met: ratio <= 2, count: len(busy),
	})
	r.remark("a bare bash on a PTY of the host, one CPU, no Berth, typed into beside the same neighbour: p99 %s ms, idle %s ms: %.1f×",
		millis(bareBusy.p99()), millis(bareIdle.p99()), float64(bareBusy.p99())/float64(bareIdle.p99()))
	return nil
}

// stillness is how long a shell says nothing when it waits for a key.
const stillness = 300 * time.Millisecond

// settle waits until the shell has said all it had to say.
func (m *machine) settle(ctx context.Context) error {
	for {
		still, cancel := context.WithTimeout(ctx, stillness)
		err := m.output(still, func([]byte) bool { return true })
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// keyboard is where a key is typed and its echo seen.
type keyboard interface {
	// stroke types a key and returns when something is shown.
	stroke(ctx context.Context, key byte) error
}

func (m *machine) stroke(ctx context.Context, key byte) error {
	if _, err := m.term.Write([]byte{key}); err != nil {
		return err
	}
	return m.output(ctx, func([]byte) bool { return true })
}

// strokes types a letter and takes it back, n times together, and waits for what the shell shows each time.
func strokes(ctx context.Context, k keyboard, n int, into *samples) error {
	for i := range n {
		key := byte('k')
		if i%2 == 1 {
			key = 0x7f // backspace
		}
		began := time.Now()
		if err := k.stroke(ctx, key); err != nil {
			return err
		}
		*into = append(*into, time.Since(began))
		select {
		case <-time.After(typingPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// flood is the neighbour's viewer, a process of its own as a browser is.
type flood struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func (b *bench) startNeighbour(ctx context.Context, m *machine) (*flood, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"neighbour"}, b.reach(m)...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(out, make([]byte, 1)) // it floods
	return &flood{cmd, stdin}, err
}

func (f *flood) stop() error {
	return errors.Join(f.stdin.Close(), f.cmd.Wait())
}

// beNeighbour runs yes in a terminal and reads all of it, until stdin ends.
func beNeighbour(ctx context.Context, args []string, stdin io.Reader) error {
	if len(args) != 3 {
		return errors.New("neighbour URL TOKEN ID")
	}
	c, err := client.New(args[0], trimmed(args[1]))
	if err != nil {
		return err
	}
	term, err := c.Terminal(ctx, sessions.ID(args[2]), "1", terminal.ClientOptions{Size: terminal.DefaultSize})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_, _ = term.Write([]byte{3}) // ctrl-C
		_ = term.Flush(ctx)
		_ = term.Close()
	}()
	if _, err := term.Write([]byte("yes\r")); err != nil {
		return err
	}
	const flooding = 1 << 20
	for n := 0; ; {
		e, err := term.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n < flooding {
			if n += len(e.Output); n >= flooding {
				fmt.Print(".")
			}
		}
	}
}
