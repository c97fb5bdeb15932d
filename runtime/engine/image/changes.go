package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kind is how a path of a container differs from its image: as `docker diff` has it.
type Kind uint8

// The kinds, in the numbers of Docker's API.
const (
	Modified Kind = 0
	Added    Kind = 1
	Deleted  Kind = 2
)

// Change is one path that differs.
type Change struct {
	Path string
	Kind Kind
	Mode fs.FileMode // of what is there now
	Size int64       // bytes of a regular file as it is now
}

// Changes lists what a container has changed in its root file system, sorted by path.
func (s *Store) Changes(ctx context.Context, key string) ([]Change, error) {
	upper, lowers, err := s.RootDirs(ctx, key)
	if err != nil {
		return nil, err
	}
	list := []Change{}
	err = walkUpper(ctx, upper, lowers, func(c Change, info fs.FileInfo) error {
		if info != nil {
			c.Mode = info.Mode()
			if c.Mode.IsRegular() {
				c.Size = info.Size()
			}
		}
		list = append(list, c)
		return nil
	})
	slices.SortStableFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list, err
}

// walkUpper calls emit for all that an overlay's upper directory changes of the lower ones, directories before what is in
// them. The FileInfo of what was deleted is nil.
func walkUpper(ctx context.Context, upper string, lowers []string, emit func(Change, fs.FileInfo) error) error {
	w := upperWalk{ctx: ctx, upper: upper, emit: emit}
	return w.dir("", lowers, func() error { return nil })
}

type upperWalk struct {
	ctx   context.Context
	upper string
	emit  func(Change, fs.FileInfo) error
}

// dir walks one directory of the upper one. lowers are the directories that show through in it, highest first. changed is
// called before the first change in it is told.
func (w *upperWalk) dir(rel string, lowers []string, changed func() error) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(w.upper, rel)) // sorted
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, e := range entries {
		here[e.Name()] = true
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // a container that runs has removed it
		}
		if err != nil {
			return err
		}
		if err := w.entry(filepath.Join(rel, e.Name()), info, lowers, changed); err != nil {
			return err
		}
	}
	if rel == "" || !isOpaque(filepath.Join(w.upper, rel)) {
		return nil
	}
	for _, name := range merged(lowers) { // all that was there before the directory was made anew
		if !here[name] {
			if err := changed(); err != nil {
				return err
			}
			if err := w.emit(Change{Path: slashed(filepath.Join(rel, name)), Kind: Deleted}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *upperWalk) entry(rel string, info fs.FileInfo, lowers []string, changed func() error) error {
	name := filepath.Base(rel)
	below := lookupLower(lowers, name)
	change := Change{Path: slashed(rel), Kind: Modified}
	switch {
	case isWhiteout(info) && below == nil:
		return nil
	case isWhiteout(info):
		change.Kind, info = Deleted, nil
	case below == nil:
		change.Kind = Added
	}
	told := false
	tell := func() error {
		if told {
			return nil
		}
		told = true
		if err := changed(); err != nil {
			return err
		}
		return w.emit(change, info)
	}
	// A directory is copied up for what is in it; it has changed where that has, or it itself has.
	same := info != nil && info.IsDir() && below != nil && below.IsDir() && sameDir(info, below)
	if !same {
		if err := tell(); err != nil {
			return err
		}
	}
	if info == nil || !info.IsDir() {
		return nil
	}
	return w.dir(rel, lowersIn(lowers, name), tell)
}

// isWhiteout: overlay's mark of what is gone is a character device 0:0 (kernel, filesystems/overlayfs).
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// isOpaque reports whether a directory hides those below it.
func isOpaque(dir string) bool {
	var b [2]byte
	n, err := unix.Lgetxattr(dir, opaqueXattr, b[:])
	return err == nil && n == 1 && b[0] == 'y'
}

func sameDir(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime()) && x.Uid == y.Uid && x.Gid == y.Gid
}

// lookupLower is what the lower directories show under a name, or nil.
func lookupLower(lowers []string, name string) fs.FileInfo {
	for _, l := range lowers {
		if info, err := os.Lstat(filepath.Join(l, name)); err == nil {
			if isWhiteout(info) {
				return nil
			}
			return info
		}
	}
	return nil
}

// lowersIn are the directories of this name that show through each other.
func lowersIn(lowers []string, name string) []string {
	var in []string
	for _, l := range lowers {
		dir := filepath.Join(l, name)
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			break
		}
		in = append(in, dir)
		if isOpaque(dir) {
			break
		}
	}
	return in
}

// merged are the names that the lower directories show, sorted.
func merged(lowers []string) []string {
	seen := map[string]bool{}
	var names []string
	for _, l := range lowers {
		entries, err := os.ReadDir(l)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !seen[e.Name()] {
				seen[e.Name()] = true
				if lookupLower(lowers, e.Name()) != nil {
					names = append(names, e.Name())
				}
			}
		}
	}
	slices.Sort(names)
	return names
}
