package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"
)

// Labels of snapshots. Those with this prefix are handed on to the snapshotter below the metadata.
const (
	labelShared = "containerd.io/snapshot/berth.layer" // the directory of a layer in the host's cache
	labelSize   = "containerd.io/snapshot/berth.size"  // bytes of the files of a layer, as Docker counts them

	// labelLink is the directory of another layer of this session, or of the host: absolute.
	labelLink = "containerd.io/snapshot/berth.link"

	labelArchive = "containerd.io/snapshot/berth.archive" // its catalogue.Archive as JSON: where the host offers it no more
)

// sharedSnapshotter is overlay, and for the host's layers a link in place of a copy.
type sharedSnapshotter struct {
	snapshots.Snapshotter
	layers string
}

func newSnapshotter(dir, layers string) (*sharedSnapshotter, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	ms, err := storage.NewMetaStore(filepath.Join(dir, "metadata.db"), func(o *bolt.Options) error {
		o.NoSync, o.NoFreelistSync = true, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	// userxattr: the sandbox has no rights over trusted.*; the host's layers are unpacked for it.
	o, err := overlay.NewSnapshotter(dir, overlay.WithMetaStore(ms), overlay.WithMountOptions([]string{"userxattr"}))
	if err != nil {
		return nil, fmt.Errorf("open the layers: %w", err)
	}
	return &sharedSnapshotter{o, layers}, nil
}

// Prepare makes a writable snapshot. With labelShared it commits a link to that layer at once, and says
// that its target (snapshots.LabelSnapshotRef) already exists: what containerd asks of snapshotters with layers elsewhere.
func (s *sharedSnapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	var info snapshots.Info
	for _, o := range opts {
		if err := o(&info); err != nil {
			return nil, err
		}
	}
	mounts, err := s.Snapshotter.Prepare(ctx, key, parent, opts...)
	if err != nil {
		return nil, err
	}
	target := info.Labels[labelLink]
	if layer := info.Labels[labelShared]; layer != "" {
		target = filepath.Join(s.layers, layer)
	}
	if target != "" {
		if err := s.link(ctx, key, upperOf(mounts), target, info.Labels); err != nil {
			_ = s.Remove(context.WithoutCancel(ctx), key) // it was only just made
			return nil, err
		}
		return nil, fmt.Errorf("layer %s is shared: %w", target, errdefs.ErrAlreadyExists)
	}
	return distinct(mounts), nil
}

// link commits an empty snapshot with its directory replaced by a link: into the host's cache, or to another layer.
func (s *sharedSnapshotter) link(ctx context.Context, key, upper, target string, labels map[string]string) error {
	if info, err := os.Stat(target); err != nil || !info.IsDir() {
		return fmt.Errorf("the layer %s has gone: %w", target, errdefs.ErrUnavailable)
	}
	if err := os.Remove(upper); err != nil {
		return err
	}
	if err := os.Symlink(target, upper); err != nil {
		return err
	}
	return s.Commit(ctx, key+"/shared", key, snapshots.WithLabels(labels))
}

// View is of snapshots.Snapshotter.
func (s *sharedSnapshotter) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	mounts, err := s.Snapshotter.View(ctx, key, parent, opts...)
	return distinct(mounts), err
}

// Mounts is of snapshots.Snapshotter.
func (s *sharedSnapshotter) Mounts(ctx context.Context, key string) ([]mount.Mount, error) {
	mounts, err := s.Snapshotter.Mounts(ctx, key)
	return distinct(mounts), err
}

const (
	lowerOption = "lowerdir="
	upperOption = "upperdir="
)

// distinct leaves out a shared layer where an image has it twice: overlay refuses the same directory twice, and the upper
// one hides all that the lower would show. Links are not followed in the options: they are shorter than what they lead to,
// and mount(2) takes a page of options.
func distinct(mounts []mount.Mount) []mount.Mount {
	for i := range mounts {
		for j, o := range mounts[i].Options {
			lower, ok := strings.CutPrefix(o, lowerOption)
			if !ok {
				continue
			}
			var kept []string
			seen := map[string]bool{}
			for dir := range strings.SplitSeq(lower, ":") {
				target, err := os.Readlink(dir)
				if err != nil {
					target = dir
				}
				if seen[target] {
					continue
				}
				seen[target] = true
				kept = append(kept, dir)
			}
			mounts[i].Options[j] = lowerOption + strings.Join(kept, ":")
		}
	}
	return mounts
}

// upperOf is the directory that a writable snapshot's changes go to.
func upperOf(mounts []mount.Mount) string {
	for _, m := range mounts {
		for _, o := range m.Options {
			if upper, ok := strings.CutPrefix(o, upperOption); ok {
				return upper
			}
		}
	}
	if len(mounts) == 1 {
		return mounts[0].Source // it has no parent: a bind mount
	}
	return ""
}

// lowersOf are the directories below it, highest first.
func lowersOf(mounts []mount.Mount) []string {
	for _, m := range mounts {
		for _, o := range m.Options {
			if lower, ok := strings.CutPrefix(o, lowerOption); ok {
				return strings.Split(lower, ":")
			}
		}
	}
	return nil
}
