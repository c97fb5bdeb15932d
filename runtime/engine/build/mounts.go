package build

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/containerd/v2/core/mount"
	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	bkexecutor "github.com/moby/buildkit/executor"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// openMount returns the mounts of a source, which undo gives back.
func openMount(ctx context.Context, m bkexecutor.Mount, readonly bool, undo *undos) ([]mount.Mount, error) {
	if m.Src == nil {
		return nil, fmt.Errorf("mount %s has no source", m.Dest)
	}
	source, err := m.Src.Mount(ctx, readonly)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", m.Dest, err)
	}
	mounts, release, err := source.Mount()
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", m.Dest, err)
	}
	if release != nil {
		undo.add(func(context.Context) error { return release() })
	}
	return mounts, nil
}

// mountAll makes the mounts of RUN --mount as runc takes them.
func mountAll(ctx context.Context, mounts []bkexecutor.Mount, bundle string, undo *undos) ([]specs.Mount, error) {
	var out []specs.Mount
	for i, m := range mounts {
		sources, err := openMount(ctx, m, m.Readonly, undo)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(bundle, "mount-"+strconv.Itoa(i))
		spec, err := specMount(sources, m, dir, undo)
		if err != nil {
			return nil, err
		}
		out = append(out, spec)
	}
	return out, nil
}

// specMount hands a tmpfs and a bind mount of a whole source over to runc, and mounts all else here: overlays, whose options
// may be too long, and parts of a source.
func specMount(sources []mount.Mount, m bkexecutor.Mount, dir string, undo *undos) (specs.Mount, error) {
	to := path.Join("/", m.Dest)
	whole := path.Join("/", m.Selector) == "/"
	if len(sources) == 1 && whole {
		switch one := sources[0]; one.Type {
		case "tmpfs":
			return specs.Mount{Destination: to, Type: one.Type, Source: one.Source, Options: one.Options}, nil
		case "bind", "rbind":
			return bind(one.Source, to, m.Readonly || one.ReadOnly()), nil
		}
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		return specs.Mount{}, err
	}
	from, err := mountHere(sources, dir, undo)
	if err != nil {
		return specs.Mount{}, err
	}
	if !whole {
		if from, err = part(from, m.Selector, dir+"-part", undo); err != nil {
			return specs.Mount{}, fmt.Errorf("mount %s: %s: %w", m.Dest, m.Selector, err)
		}
	}
	return bind(from, to, m.Readonly), nil
}

// mountHere mounts a source at dir, but for a directory that is there already.
func mountHere(sources []mount.Mount, dir string, undo *undos) (string, error) {
	if len(sources) == 1 && (sources[0].Type == "bind" || sources[0].Type == "rbind") {
		return sources[0].Source, nil
	}
	if err := mount.All(sources, dir); err != nil {
		return "", fmt.Errorf("mount %s: %w", dir, err)
	}
	undo.add(func(context.Context) error { return unmount(dir) })
	return dir, nil
}

// part mounts a file or a directory below root at a place of its own. Links are followed within root, and what is found is
// mounted by its descriptor: another step that writes to the same source cannot lead it elsewhere.
func part(root, selector, at string, undo *undos) (string, error) {
	found, err := pathrs.OpenInRoot(root, selector)
	if err != nil {
		return "", err
	}
	defer found.Close()
	info, err := found.Stat()
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o711)
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return "", err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(int(found.Fd())), at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", err
	}
	undo.add(func(context.Context) error { return unmount(at) })
	return at, nil
}

func bind(from, to string, readonly bool) specs.Mount {
	options := []string{"rbind", "rprivate"}
	if readonly {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: slices.Clip(options)}
}
