package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"berth/sessions"
	"berth/terminal"
)

// sessionLife is how long a session may be needed.
const sessionLife = 40 * time.Minute

// quiet is what the machine gets between two samples, so that what the last one left (a closing sandbox, a pool that
// fills) is not measured with the next.
const quiet = 150 * time.Millisecond

// bench is one run.
type bench struct {
	options
	dir    string
	bin    string
	images string
	server *server
	runc   map[string]*runcPeer // by image
	docker *dockerPeer          // nil: not installed
}

func newBench(ctx context.Context, o options) (b *bench, err error) {
	b = &bench{options: o, bin: orDefault("BERTH_TEST_BIN", "bin"), images: orDefault("BERTH_TEST_IMAGES", ".cache"), runc: map[string]*runcPeer{}}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return nil, err
	}
	if b.images, err = filepath.Abs(b.images); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "berth-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err = os.Chmod(b.dir, 0o711); err != nil { // each sandbox passes through it by a user ID of its own
		return b, err
	}
	for _, image := range []string{"debian", "busybox"} {
		if b.runc[image], err = newRuncPeer(ctx, b, image); err != nil {
			return b, err
		}
	}
	if b.docker, err = newDockerPeer(ctx, b); err != nil {
		return b, err
	}
	b.server, err = startServer(ctx, b.bin, b.images, b.dir, o.verbose)
	return b, err
}

func orDefault(variable, otherwise string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return otherwise
}

func (b *bench) close() error {
	var errs []error
	if b.server != nil {
		errs = append(errs, b.server.stop())
	}
	if b.docker != nil {
		errs = append(errs, b.docker.stop())
	}
	for _, p := range b.runc {
		errs = append(errs, p.close())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// machine is an open session with its first terminal.
type machine struct {
	id   sessions.ID
	term *terminal.Client
}

// open asks for a session and returns when its terminal has shown its first byte, which is the prompt's: it is what the
// browser does, over the same protocols.
func (b *bench) open(ctx context.Context, env string) (*machine, error) {
	s, err := b.server.client.Create(ctx, env, sessionLife)
	if err != nil {
		return nil, err
	}
	if s.State != sessions.Ready {
		if _, err := b.server.client.WaitReady(ctx, s.Session, nil); err != nil {
			return nil, err
		}
	}
	m := &machine{id: s.ID}
	if m.term, err = b.server.client.Terminal(ctx, s.ID, "1", terminal.ClientOptions{Size: terminal.DefaultSize}); err != nil {
		return nil, errors.Join(err, b.server.client.End(ctx, s.ID))
	}
	return m, m.output(ctx, func([]byte) bool { return true })
}

// end ends the session and returns when the server has nothing of it any more.
func (b *bench) end(ctx context.Context, m *machine) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	return errors.Join(m.term.Close(), b.server.client.End(ctx, m.id), b.gone(ctx, m.id))
}

func (b *bench) gone(ctx context.Context, id sessions.ID) error {
	path := filepath.Join(b.dir, "run", string(id))
	return poll(ctx, "the session "+string(id)+" is not gone", func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
}

// output reads the terminal until enough says so.
func (m *machine) output(ctx context.Context, enough func([]byte) bool) error {
	for {
		e, err := m.term.Next(ctx)
		switch {
		case err != nil:
			return err
		case e.Lost != nil:
			return fmt.Errorf("the terminal's connection was lost: %w", e.Lost)
		case len(e.Output) > 0 && enough(e.Output):
			return nil
		}
	}
}

// client of another process: its address and identity.
func (b *bench) reach(m *machine) []string {
	return []string{b.server.url, b.server.token, string(m.id)}
}
