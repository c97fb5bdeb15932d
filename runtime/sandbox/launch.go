package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"berth/quotas/cgroup"
	"berth/quotas/network"
	"berth/runtime/imagecache"
	"berth/sessions"
)

// What the engine keeps for itself of the sandbox's limits, so that it can still say what happened when the visitor's
// programs have used up theirs.
const (
	engineMemory = 24 << 20 // bytes
	enginePIDs   = 32
)

// closeTimeout bounds the removal of a sandbox whose launch failed.
const closeTimeout = 30 * time.Second

// launch is one launch under way: what its steps hand on to later ones. Descriptors are closed at its end.
type launch struct {
	*Launcher
	id    sessions.ID
	spec  sessions.Spec
	image imagecache.Image

	link   *network.Link
	group  *cgroup.Group
	ids    *os.File // user namespace with the sandbox's ID mapping
	mounts []stagedMount
	listen *os.File
	docker *os.File

	state   state
	process *hostProcess
	ready   *os.File
	files   []io.Closer
}

// Launch builds a sandbox step by step. What a failed step leaves is removed by the one way in which all sandboxes are.
func (l *Launcher) Launch(ctx context.Context, id sessions.ID, spec sessions.Spec) (sessions.Sandbox, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("launch: %q is not a session ID", id)
	}
	if err := spec.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("launch sandbox %s: %w", id, err)
	}
	l.mu.Lock()
	taken := l.making[id] || l.alive[id] != nil
	l.making[id] = true
	l.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("launch sandbox %s: the ID is in use", id)
	}
	defer l.made(id)
	w := &launch{Launcher: l, id: id, spec: spec}
	err := w.run(ctx)
	w.closeFiles() // a mount that is held here is held for the sandbox's remnants too
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if w.process != nil {
			err = errors.Join(err, w.process.kill(undo), w.process.release())
		}
		return nil, errors.Join(fmt.Errorf("launch sandbox %s: %w", id, err), l.remove(undo, id))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.adopt(w.state, w.process), nil
}

// made ends the time in which Sweep leaves an ID alone.
func (l *Launcher) made(id sessions.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.making, id)
}

func (w *launch) run(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"image", w.leaseImage},
		{"directories", w.makeDirs},
		{"link", w.makeLink},
		{"disk", w.makeDisk},
		{"cgroup", w.makeCgroup},
		{"idmap", w.makeIDs},
		{"mounts", w.openMounts},
		{"socket", w.makeSockets},
		{"process", w.start},
		{"network", w.connect},
		{"state", w.writeState},
		{"ready", w.waitReady},
	}
	for _, s := range steps {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := w.Trace(s.name)
		if err == nil {
			err = s.do(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (w *launch) closeFiles() {
	for _, f := range w.files {
		_ = f.Close() // our copies of what the sandbox has; nothing is buffered in them
	}
}
