package imagecache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	digest "github.com/opencontainers/go-digest"

	"berth/runtime/imagecache/unpack"
)

// ImportOptions say what an import is called.
type ImportOptions struct {
	Name     string // reference for the image; where it is empty, the export's own names count
	Progress Progress
}

// RootFSOptions describe the image that is made of a root file system.
type RootFSOptions struct {
	Name     string   // reference; must be given
	Cmd      []string // what a container runs where nothing else is said
	Env      []string // "NAME=value"; PATH where it is missing
	WorkDir  string
	Created  time.Time // where it is zero: not said
	Progress Progress
}

func (p Progress) orSilent() Progress {
	if p == nil {
		return func(string) {}
	}
	return p
}

// Import brings in what `docker save` wrote, or an OCI layout as a directory or an archive; archives may be compressed with
// gzip or zstd. An archive that cannot be read twice is first copied to the cache's disk.
func (c *Cache) Import(ctx context.Context, path string, o ImportOptions) (_ []Image, err error) {
	s, err := c.newStaging()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	f, err := c.openExport(ctx, s, path)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	found, err := readExport(f, o.Name)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	var images []Image
	for _, in := range found {
		img, err := c.add(ctx, s, in, o.Progress.orSilent())
		if err != nil {
			return images, fmt.Errorf("import %s: %w", familiar(in.names[0]), err)
		}
		images = append(images, img)
	}
	return images, nil
}

// openExport opens a directory, an archive, or where path is "-" standard input.
func (c *Cache) openExport(ctx context.Context, s *staging, path string) (files, error) {
	file, err := openInput(ctx, path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
		_ = file.Close()
		root, err := os.OpenRoot(path)
		return dirFiles{root}, err
	}
	if f, ok := file.(*os.File); ok {
		if plain, err := isPlainTar(f); err != nil || plain {
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return openTar(f)
		}
	}
	// Compressed, or not seekable: a plain copy, made by the decompressing child and within the budgets.
	spool, err := os.OpenFile(s.path(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := unpack.Decompress(ctx, spool, file, c.unpack); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return openTar(spool)
}

// isPlainTar reports whether f can be read at any place and is not compressed.
func isPlainTar(f *os.File) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, nil //nolint:nilerr // a pipe: that is the answer
	}
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return unpack.IsTar(head[:n]), nil
}

// ImportRootFS makes an image of one layer from a root file system's tar, compressed or not, "-" being standard input.
func (c *Cache) ImportRootFS(ctx context.Context, path string, o RootFSOptions) (_ Image, err error) {
	name, err := normalise(o.Name)
	if err != nil {
		return Image{}, err
	}
	s, err := c.newStaging()
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	layer := incomingLayer{open: func(ctx context.Context) (io.ReadCloser, error) { return openInput(ctx, path) }}
	r, err := c.unpackLayer(ctx, s, layer)
	if err != nil {
		return Image{}, fmt.Errorf("import %s: %w", path, err)
	}
	for _, n := range r.Notes {
		o.Progress.orSilent()(n)
	}
	config, err := json.Marshal(rootFSConfig(r.DiffID, o))
	if err != nil {
		return Image{}, err
	}
	in := incoming{names: []string{name}, config: config, layers: []incomingLayer{{diffID: r.DiffID}}}
	return c.commitImage(in)
}

func rootFSConfig(diffID string, o RootFSOptions) ocispec.Image {
	env := o.Env
	if !hasPath(env) {
		env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	}
	image := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: goruntime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: o.Cmd, Env: env, WorkingDir: o.WorkDir},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.Digest(diffID)}},
	}
	if !o.Created.IsZero() {
		created := o.Created.UTC()
		image.Created = &created
		image.History = []ocispec.History{{Created: &created, CreatedBy: "berth image import --rootfs"}}
	}
	return image
}

func hasPath(env []string) bool {
	for _, e := range env {
		if len(e) >= 5 && e[:5] == "PATH=" {
			return true
		}
	}
	return false
}

// openInput opens a file for reading, or standard input, whose reads end with ctx.
func openInput(ctx context.Context, path string) (io.ReadCloser, error) {
	if path != "-" {
		return os.Open(filepath.Clean(path))
	}
	return &stdin{ctx: ctx, closed: make(chan struct{})}, nil
}

// pollMillis is how soon a read of standard input notices that it is not wanted any more.
const pollMillis = 200

// stdin reads standard input without ever blocking for long: the writer may never write nor close.
type stdin struct {
	ctx    context.Context
	closed chan struct{}
}

func (s *stdin) Read(p []byte) (int, error) {
	for {
		select {
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		case <-s.closed:
			return 0, os.ErrClosed
		default:
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: 0, Events: unix.POLLIN}}, pollMillis)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if n > 0 {
			return os.Stdin.Read(p)
		}
	}
}

func (s *stdin) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}
