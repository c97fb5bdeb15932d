package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moby/moby/api/types/events"

	"berth/runtime/engine/stdio"
	"berth/terminal"
)

// pipes makes a process's three: our ends and the process's. Without input it reads nothing, and ours[0] is nil.
func pipes(input bool) (ours, theirs []*os.File, err error) {
	for i := range 3 {
		var r, w *os.File
		if i == 0 && !input {
			r, err = os.Open(os.DevNull)
		} else {
			r, w, err = os.Pipe()
		}
		if err != nil {
			closeAll(ours)
			closeAll(theirs)
			return nil, nil, err
		}
		if i == 0 {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	return ours, theirs, nil
}

// pipeStreams are our ends of pipes, for a hub that reads them from before the start on.
func pipeStreams(ours []*os.File, log *stdio.LogWriter) stdio.Streams {
	s := stdio.Streams{Stdout: ours[1], Stderr: ours[2], Log: log}
	if ours[0] != nil { // not a nil *os.File in an interface
		s.Stdin = ours[0]
	}
	return s
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // pipes: nothing is buffered
		}
	}
}

// terminalInput writes to a terminal, which its reader closes.
func terminalInput(master *os.File, input bool) io.WriteCloser {
	if !input {
		return nil
	}
	return keepOpen{master}
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func resizer(master *os.File) func(width, height uint) error {
	return func(width, height uint) error {
		return terminal.SetSize(master, terminal.Size{Cols: int(width), Rows: int(height)})
	}
}

// takeHub is the hub of the next run, at which viewers may be waiting already.
func (c *Container) takeHub() *stdio.Hub {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hubLocked()
}

func (c *Container) hubLocked() *stdio.Hub {
	if c.hub == nil {
		conf := c.rec.Config
		c.hub = stdio.NewHub(stdio.HubOptions{
			OpenStdin: conf.OpenStdin, StdinOnce: conf.StdinOnce, TTY: conf.Tty,
			LogDir: c.replayDir(), Logger: c.manager.o.Log,
		})
	}
	return c.hub
}

// replayDir is where the log of earlier runs is, "" where there is none.
func (c *Container) replayDir() string {
	if c.LogPath() == "" {
		return ""
	}
	return c.Dir()
}

// Attach connects a client to the container's streams, now or from its next start on.
func (c *Container) Attach(ctx context.Context, o stdio.AttachOptions) error {
	c.mu.Lock()
	paused, restarting := c.rec.State.Paused, c.rec.State.Restarting
	hub := c.hubLocked()
	c.mu.Unlock()
	switch {
	case paused:
		return conflict("container %s is paused, unpause the container before attach", c.id)
	case restarting:
		return conflict("container %s is restarting, wait until the container is running", c.id)
	}
	c.manager.publish(c, events.ActionAttach, nil)
	err := hub.Attach(ctx, o)
	if errors.Is(err, stdio.ErrDetached) {
		c.manager.publish(c, events.ActionDetach, nil)
	}
	return err
}

// LogWriter writes the log while the container runs; nil: nobody does.
func (c *Container) LogWriter() *stdio.LogWriter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return nil
	}
	return c.run.log
}

// Resize sets the size of its terminal.
func (m *Manager) Resize(ref string, width, height uint) error {
	c, err := m.Get(ref)
	if err != nil {
		return err
	}
	c.mu.Lock()
	running, hub := c.rec.State.Running, c.hubLocked()
	c.mu.Unlock()
	if !running {
		return notRunning(c)
	}
	if err := hub.Resize(width, height); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	m.publish(c, events.ActionResize, map[string]string{"height": fmt.Sprint(height), "width": fmt.Sprint(width)})
	return nil
}

func notRunning(c *Container) error { return conflict("container %s is not running", c.id) }
