package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"berth/quotas/disk"
)

func (w *launch) leaseImage(context.Context) error {
	image, err := w.Images.Use(w.lease(w.id), w.spec.Image)
	w.image = image
	return err
}

func (w *launch) makeDirs(context.Context) error {
	run := w.runDir(w.id)
	if err := errors.Join(makeDir(run, 0o711), makeDir(w.diskDir(w.id), 0o700)); err != nil {
		return err
	}
	return makeStage(filepath.Join(run, "stage"))
}

func (w *launch) makeLink(ctx context.Context) error {
	link, err := w.Network.Allocate(ctx, string(w.id))
	w.link = link
	return err
}

// uid is the sandbox's root user on the host: the slot of its network link is its place among the ranges too.
func (w *launch) uid() int { return int(w.UIDBase) + w.link.Slot*idRange }

func (w *launch) makeDisk(ctx context.Context) error {
	return disk.Create(ctx, w.diskPath(w.id), w.spec.Limits, w.DiskReserve)
}

func (w *launch) makeCgroup(ctx context.Context) error {
	group, err := w.Cgroups.Create(ctx, string(w.id), w.spec.Limits, w.uid(), w.uid())
	w.group = group
	return err
}

func (w *launch) makeIDs(context.Context) error {
	ids, err := newUserNamespace(w.uid(), idRange)
	if err != nil {
		return err
	}
	w.ids, w.files = ids, append(w.files, ids)
	return nil
}

func (w *launch) openMounts(ctx context.Context) error {
	open := []struct {
		name string
		from func() (*os.File, error)
	}{
		{"disk", func() (*os.File, error) { return disk.Attach(ctx, w.diskPath(w.id)) }},
		{"layers", func() (*os.File, error) { return disk.CloneTree(w.Images.LayersDir(), false, true) }},
		{"catalogue", func() (*os.File, error) { return disk.CloneTree(w.Images.CatalogueDir(), false, true) }},
		{"programs", func() (*os.File, error) {
			return disk.CloneTree(filepath.Join(w.programsDir(), w.programs), false, true)
		}},
	}
	for _, m := range open {
		f, err := m.from()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		w.files = append(w.files, f)
		if err := disk.Idmap(f, w.ids); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		w.mounts = append(w.mounts, stagedMount{m.name, f})
	}
	return nil
}

// makeSockets makes what the sandbox listens on for the host: it goes on listening when the server does not.
func (w *launch) makeSockets(context.Context) error {
	var err error
	if w.listen, err = w.listenAt(w.socket(w.id)); err != nil {
		return err
	}
	w.docker, err = w.listenAt(w.dockerSocket(w.id))
	return err
}

// listenAt listens on a socket that root alone may connect to.
func (w *launch) listenAt(path string) (*os.File, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	w.files = append(w.files, f)
	return f, nil
}
