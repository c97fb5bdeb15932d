package build

import (
	"context"
	"io/fs"
	"os"
	"path"

	"github.com/tonistiigi/fsutil"
)

// Tree is a directory as a build reads it. Nothing leads out of it: a symbolic link is a link, wherever it points.
func Tree(root *os.Root) fsutil.FS { return tree{fsutil.NewRootFS(fsutil.NewRoot(root)), root} }

type tree struct {
	fsutil.FS
	root *os.Root
}

// Walk is of fsutil.FS, which would follow a link that it begins with, and fail at one that leads out.
func (t tree) Walk(ctx context.Context, target string, walk fs.WalkDirFunc) error {
	name := path.Clean("/" + target)[1:]
	info, err := t.root.Lstat(name)
	if name == "" || err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return t.FS.Walk(ctx, target, walk)
	}
	dir := path.Dir(name)
	return t.FS.Walk(ctx, dir, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case at == name:
			if err := walk(at, entry, err); err != nil {
				return err
			}
			return fs.SkipAll
		case err == nil && entry != nil && entry.IsDir() && at != dir:
			return fs.SkipDir
		}
		return nil
	})
}
