package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/archive"
	continuityfs "github.com/containerd/continuity/fs"
)

// writeChanges writes what a root has changed as the tar of a layer.
func writeChanges(ctx context.Context, w io.Writer, upper string, lowers []string) error {
	return writeChangesTelling(ctx, w, upper, lowers, func(fs.FileInfo) {})
}

// writeChangesTelling is writeChanges, with a word about each file that is there.
func writeChangesTelling(ctx context.Context, w io.Writer, upper string, lowers []string, tell func(fs.FileInfo)) error {
	cw := archive.NewChangeWriter(w, upper)
	err := walkUpper(ctx, upper, lowers, func(c Change, info fs.FileInfo) error {
		if info != nil {
			tell(info)
		}
		kinds := map[Kind]continuityfs.ChangeKind{
			Modified: continuityfs.ChangeKindModify, Added: continuityfs.ChangeKindAdd, Deleted: continuityfs.ChangeKindDelete,
		}
		return cw.HandleChange(kinds[c.Kind], c.Path, info, nil)
	})
	return errors.Join(err, cw.Close())
}

// WriteTar writes all that is below dir, a container's mounted root, as `docker export` does. What is
// mounted in it elsewhere than in this mount namespace is not in it.
func WriteTar(ctx context.Context, w io.Writer, dir string) error {
	cw := archive.NewChangeWriter(w, dir)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil // a container that runs has removed it
			}
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return cw.HandleChange(continuityfs.ChangeKindAdd, slashed(rel), info, nil)
	})
	return errors.Join(err, cw.Close())
}
