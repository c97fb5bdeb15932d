package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	fscopy "github.com/tonistiigi/fsutil/copy"
	"github.com/xi2/xz"
)

// ADD unpacks archives. For those that are compressed with xz BuildKit runs a program, which the engine does not have: such a file
// is decompressed before, in a layer of its own above what it is copied from.

// xzMagic begins a file of the .xz format (xz-file-format.txt, 2.1.1.1).
var xzMagic = []byte{0xfd, '7', 'z', 'X', 'Z', 0}

// xzMemory is the most that a dictionary may take, in bytes: what `xz -9` makes.
const xzMemory = 64 << 20

// ResolveOp is of worker.Worker.
func (w *localWorker) ResolveOp(v solver.Vertex, s frontend.FrontendLLBBridge, sm *session.Manager, proxy worker.ProxyOpt) (solver.Op, error) {
	op, err := w.Worker.ResolveOp(v, s, sm, proxy)
	if err != nil {
		return nil, err
	}
	base, ok := v.Sys().(*pb.Op)
	if !ok {
		return op, nil
	}
	file, ok := base.Op.(*pb.Op_File)
	if !ok {
		return op, nil
	}
	var adds []*pb.FileAction
	for _, a := range file.File.Actions {
		if c := a.GetCopy(); c != nil && c.AttemptUnpackDockerCompatibility && a.SecondaryInput >= 0 && int(a.SecondaryInput) < len(v.Inputs()) {
			adds = append(adds, a)
		}
	}
	if len(adds) == 0 {
		return op, nil
	}
	return &addOp{op, w, adds}, nil
}

// addOp is an operation that may unpack archives.
type addOp struct {
	solver.Op
	w    *localWorker
	adds []*pb.FileAction
}

// Exec is of solver.Op.
func (a *addOp) Exec(ctx context.Context, job solver.JobContext, inputs []solver.Result) (_ []solver.Result, err error) {
	defer guard(a.w.o.Log, &err)
	given := append([]solver.Result{}, inputs...)
	var undo undos
	defer func() { err = errors.Join(err, undo.run(context.WithoutCancel(ctx))) }()
	for _, add := range a.adds {
		i := int(add.SecondaryInput)
		ref, ok := given[i].Sys().(*worker.WorkerRef)
		if !ok || ref.ImmutableRef == nil {
			continue
		}
		plain, err := a.decompressed(ctx, ref.ImmutableRef, add.GetCopy(), job.Session())
		if err != nil {
			return nil, err
		}
		if plain != nil {
			undo.add(func(ctx context.Context) error { return a.w.drop(ctx, plain) })
			given[i] = worker.NewWorkerRefResult(plain, ref.Worker)
		}
	}
	return a.Op.Exec(ctx, job, given)
}

// decompressed is a layer above ref with the files that are to be unpacked and are compressed with xz, plain. It is nil where
// there are none.
func (a *addOp) decompressed(ctx context.Context, ref cache.ImmutableRef, c *pb.FileActionCopy, g session.Group) (_ cache.ImmutableRef, err error) {
	var found []string
	err = mounted(ctx, ref, true, g, func(dir string) (err error) {
		found, err = findXZ(dir, c)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	layer, err := a.w.CacheMgr.New(ctx, ref, g, cache.WithDescription("decompressed for ADD "+c.Src))
	if err != nil {
		return nil, err
	}
	err = mounted(ctx, layer, false, g, func(dir string) error {
		for _, name := range found {
			if err := decompressXZ(ctx, dir, name); err != nil {
				return fmt.Errorf("decompress %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, layer.Release(context.WithoutCancel(ctx)))
	}
	return layer.Commit(ctx)
}

// drop lets a layer go that nobody needs any more, and its bytes.
func (w *localWorker) drop(ctx context.Context, ref cache.ImmutableRef) error {
	id := ref.ID()
	if err := ref.Release(ctx); err != nil {
		return err
	}
	gone := make(chan client.UsageInfo, 1) // at most this one
	return w.CacheMgr.Prune(ctx, gone, client.PruneInfo{Filter: []string{"id==" + id}, All: true})
}

// mounted runs do with the files of a cache's record.
func mounted(ctx context.Context, ref cache.Mountable, readonly bool, g session.Group, do func(dir string) error) (err error) {
	m, err := ref.Mount(ctx, readonly, g)
	if err != nil {
		return err
	}
	local := snapshot.LocalMounter(m)
	dir, err := local.Mount()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Unmount()) }()
	return do(dir)
}

// findXZ lists the sources of an ADD that are compressed with xz, from the root.
func findXZ(root string, c *pb.FileActionCopy) ([]string, error) {
	names := []string{c.Src}
	if c.AllowWildcard {
		var err error
		if names, err = fscopy.ResolveWildcards(root, c.Src, c.FollowSymlink); err != nil {
			return nil, err
		}
	}
	var found []string
	for _, name := range names {
		at, err := fs.RootPath(root, name)
		if err != nil {
			return nil, err
		}
		if isXZ(at) {
			rel, err := filepath.Rel(root, at)
			if err != nil {
				return nil, err
			}
			found = append(found, rel)
		}
	}
	return found, nil
}

// isXZ looks at the beginning of a regular file.
func isXZ(name string) bool {
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(xzMagic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == string(xzMagic)
}

// decompressXZ replaces a file by what it holds. Mode and owner do not matter: it is unpacked, and gone.
func decompressXZ(ctx context.Context, dir, name string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	from, err := root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := root.Remove(name); err != nil {
		return err
	}
	to, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	plain, err := xz.NewReader(readerOf{ctx, from}, xzMemory)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, plain)
	return err
}

// readerOf is a reader that ends with a context.
type readerOf struct {
	ctx context.Context
	r   io.Reader
}

func (r readerOf) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
