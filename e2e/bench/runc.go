package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/imagecache"
)

// runcPeer runs containers of one image with bin/runc as the host's root: what `docker run` does at the bottom.
type runcPeer struct {
	runc, bundle, state, id string
	serial                  int
}

// newRuncPeer mounts the image and writes a bundle with Docker's mounts, namespaces and system call filter.
func newRuncPeer(ctx context.Context, b *bench, name string) (*runcPeer, error) {
	cache, err := imagecache.Open(filepath.Join(b.images, "images"))
	if err != nil {
		return nil, err
	}
	image, err := cache.Use("bench-"+strconv.Itoa(os.Getpid()), name)
	if err != nil {
		return nil, fmt.Errorf("%w: make the images with make test-images", err)
	}
	defer func() { _ = cache.Release("bench-" + strconv.Itoa(os.Getpid())) }() // nobody removes images while a test runs
	p := &runcPeer{
		runc: filepath.Join(b.bin, "runc"), bundle: filepath.Join(b.dir, "runc-"+name), state: filepath.Join(b.dir, "runc-state-"+name),
		id: "bench-" + strconv.Itoa(os.Getpid()) + "-" + name,
	}
	root, upper, work := filepath.Join(p.bundle, "rootfs"), filepath.Join(p.bundle, "upper"), filepath.Join(p.bundle, "work")
	if err := errors.Join(os.MkdirAll(root, 0o755), os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return nil, err
	}
	lower := ""
	for _, dir := range image.LayerDirs() {
		lower = ":" + filepath.Join(cache.LayersDir(), dir) + lower // overlay wants the highest first
	}
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s,workdir=%s", lower[1:], upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("mount image %s: %w", name, err)
	}
	return p, p.writeSpec(ctx)
}

func (p *runcPeer) writeSpec(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, p.runc, "spec", "--bundle", p.bundle).CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w: %s", err, out)
	}
	path := filepath.Join(p.bundle, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	s.Process.Terminal, s.Process.Args, s.Root.Readonly = false, []string{"true"}, false
	if s.Linux.Seccomp, err = seccomp.GetDefaultProfile(&s); err != nil {
		return err
	}
	if text, err = json.Marshal(s); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// run runs `true` in a new container to its end.
func (p *runcPeer) run(ctx context.Context) (time.Duration, error) {
	p.serial++
	cmd := exec.CommandContext(ctx, p.runc, "--root", p.state, "run", "--bundle", p.bundle, p.id+"-"+strconv.Itoa(p.serial))
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("runc run: %w: %s", err, out)
	}
	return took, nil
}

func (p *runcPeer) close() error {
	if p == nil {
		return nil
	}
	err := unix.Unmount(filepath.Join(p.bundle, "rootfs"), 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // not mounted
	}
	return err
}
