package dockerapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/creack/pty"
	"github.com/moby/moby/client"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/stdio"
)

// patience bounds what must happen soon.
const patience = 20 * time.Second

// box is a container without walls: a process with a hub and a log.
type box struct {
	dir       string
	openStdin bool
	tty       bool
	noLog     bool
	refuse    error           // what Attach answers
	left      chan<- struct{} // is told when Attach returns

	hub   *stdio.Hub
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log *stdio.LogWriter
}

func newBox(t *testing.T, b *box) *box {
	t.Helper()
	b.dir, b.ended = t.TempDir(), make(chan struct{})
	b.hub = stdio.NewHub(stdio.HubOptions{OpenStdin: b.openStdin, StdinOnce: true, TTY: b.tty, LogDir: b.dir})
	t.Cleanup(func() {
		if b.cmd == nil {
			b.hub.Close()
			return
		}
		_ = b.cmd.Process.Kill() // it has ended, or is to
		<-b.ended
	})
	return b
}

func (b *box) Attach(ctx context.Context, o stdio.AttachOptions) error {
	if b.refuse != nil {
		return b.refuse
	}
	err := b.hub.Attach(ctx, o)
	if b.left != nil {
		b.left <- struct{}{}
	}
	return err
}
func (b *box) TTY() bool   { return b.tty }
func (b *box) Dir() string { return b.dir }
func (b *box) LogPath() string {
	if b.noLog {
		return ""
	}
	return stdio.LogPath(b.dir)
}

func (b *box) LogWriter() *stdio.LogWriter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log
}

// start runs a command in the box.
func (b *box) start(args ...string) error {
	log, err := stdio.OpenLog(b.dir, stdio.LogConfig{Attrs: map[string]string{"tier": "one"}})
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.log = log
	b.mu.Unlock()
	b.cmd = exec.Command(args[0], args[1:]...)
	if b.tty {
		err = b.startTTY(log)
	} else {
		err = b.startPiped(log)
	}
	if err != nil {
		b.cmd = nil
		return err
	}
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait() // its exit code is its own
		b.hub.Drain(context.Background())
		b.mu.Lock()
		b.log = nil
		b.mu.Unlock()
	}()
	return nil
}

func (b *box) startPiped(log *stdio.LogWriter) error {
	var r, w [3]*os.File
	for i := range r {
		var err error
		if r[i], w[i], err = os.Pipe(); err != nil {
			return err
		}
	}
	b.cmd.Stdin, b.cmd.Stdout, b.cmd.Stderr = r[0], w[1], w[2]
	err := b.cmd.Start()
	_, _, _ = r[0].Close(), w[1].Close(), w[2].Close()
	s := stdio.Streams{Stdin: w[0], Stdout: r[1], Stderr: r[2], Log: log}
	if err != nil {
		return err
	}
	return b.hub.Start(s)
}

func (b *box) startTTY(log *stdio.LogWriter) error {
	master, tty, err := pty.Open()
	if err != nil {
		return err
	}
	defer tty.Close()
	err = b.hub.Start(stdio.Streams{Stdin: master, Stdout: master, Log: log, Resize: func(width, height uint) error {
		return pty.Setsize(master, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
	}})
	if err != nil {
		return err
	}
	b.cmd.Stdin, b.cmd.Stdout, b.cmd.Stderr = tty, tty, tty
	return b.cmd.Start()
}

// boxes are the containers, and what can be executed in them, by name.
type boxes struct {
	boxes map[string]*box
	execs map[string][]string
}

func (b boxes) Get(ref string) (*box, error) {
	if found := b.boxes[ref]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("No such container: %s%w", ref, notFound{})
}

type notFound struct{}

func (notFound) Error() string { return "" }
func (notFound) Unwrap() error { return errdefs.ErrNotFound }

func (b boxes) Resize(ref string, width, height uint) error {
	box, err := b.Get(ref)
	if err != nil {
		return err
	}
	return box.hub.Resize(width, height)
}

func (b boxes) ExecResize(id string, width, height uint) error { return b.Resize(id, width, height) }

func (b boxes) ExecStart(ctx context.Context, id string, size *[2]uint, attach *stdio.AttachOptions) error {
	box, err := b.Get(id)
	if err != nil {
		return err
	}
	if size != nil {
		if err := box.hub.Resize(size[1], size[0]); err != nil {
			return err
		}
	}
	if attach == nil {
		return box.start(b.execs[id]...)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready, attached := attach.Ready, make(chan error, 1)
	began := make(chan struct{})
	attach.Ready = func() { ready(); close(began) }
	go func() { attached <- box.hub.Attach(ctx, *attach) }()
	select {
	case <-began:
	case err := <-attached:
		return err
	}
	if err := box.start(b.execs[id]...); err != nil {
		cancel(err)
	}
	return <-attached
}

// daemon serves boxes on a socket and returns a client of it.
func daemon(t *testing.T, b boxes) (*client.Client, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := dockerapi.HTTPServer(dockerapi.New(log, dockerapi.Streams[*box]{Manager: b, Log: log}), log)
	var handlers sync.WaitGroup
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		handler.ServeHTTP(w, r)
	})
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) }) // it is closed
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
		handlers.Wait()
	})
	c, err := client.New(client.WithHost("unix://"+socket), client.WithAPIVersion(dockerapi.Version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, socket
}
