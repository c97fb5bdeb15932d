package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// beneath keeps a path in the directory that it begins in: a layer may hold any link.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

const opaqueXattr = "user.overlay.opaque" // overlay(5) with userxattr

// Scan reads a layer's directory. Nothing in it is opened but directories, and no link is followed.
func Scan(ctx context.Context, dir string) (*Index, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	s := &scanner{ctx: ctx, root: root, index: &Index{}, seen: map[uint64]bool{}, link: make([]byte, unix.PathMax)}
	var st unix.Stat_t
	if err := unix.Fstatat(root, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return nil, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	top := found{}
	top.read(&st)
	if err := s.entry("", &top); err != nil {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	return s.index, nil
}

type scanner struct {
	ctx   context.Context
	root  int
	index *Index
	seen  map[uint64]bool // inodes of files with several names
	link  []byte
}

// found is one name of a directory, of which there may be many.
type found struct {
	entry
	name, target string
	ino          uint64 // of a file with several names; else 0
}

func (f *found) read(st *unix.Stat_t) {
	f.entry = entry{mtime: st.Mtim.Sec, uid: st.Uid, gid: st.Gid, mode: uint16(st.Mode & 0o7777), kind: kindOf(st)}
	if f.kind != File {
		return
	}
	f.size = st.Size
	if st.Nlink > 1 {
		f.ino = st.Ino
	}
}

// entry adds one entry, and all below it. rel is its path below the root.
func (s *scanner) entry(rel string, f *found) error {
	if f.ino != 0 {
		if s.seen[f.ino] {
			f.flags |= flagLinked
		}
		s.seen[f.ino] = true
	}
	at, err := s.index.add(f.entry, f.name, f.target)
	if err != nil {
		return err
	}
	if f.kind == Directory {
		if err := s.directory(at, rel); err != nil {
			return err
		}
	}
	s.index.entries[at].end = int32(len(s.index.entries))
	return nil
}

func (s *scanner) directory(at int32, rel string) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	all, flags, err := s.list(rel)
	if errors.Is(err, unix.EACCES) { // its owner is none of this sandbox's
		flags, err = flagClosed, nil
	}
	if err != nil {
		return err
	}
	s.index.entries[at].flags |= flags
	for i := range all {
		if err := s.entry(path.Join(rel, all[i].name), &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// list reads one directory, and closes it before another is opened: a tree may be deeper than there are descriptors.
func (s *scanner) list(rel string) (all []found, flags uint8, err error) {
	if rel == "" {
		rel = "."
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: beneath}
	fd, err := unix.Openat2(s.root, rel, &how)
	if err != nil {
		return nil, 0, &os.PathError{Op: "open", Path: rel, Err: err}
	}
	dir := os.NewFile(uintptr(fd), rel)
	defer dir.Close()
	var value [2]byte
	if n, err := unix.Fgetxattr(fd, opaqueXattr, value[:]); err == nil && n == 1 && value[0] == 'y' {
		flags = flagOpaque
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, 0, err
	}
	if len(names)+len(s.index.entries) > maxEntries {
		return nil, 0, errTooMany()
	}
	slices.Sort(names)
	all = make([]found, len(names))
	for i, name := range names {
		all[i].name = name
		if err := s.look(fd, &all[i]); err != nil {
			return nil, 0, &os.PathError{Op: "read", Path: path.Join(rel, name), Err: err}
		}
	}
	return all, flags, nil
}

// look reads what a name of an open directory stands for.
func (s *scanner) look(dir int, f *found) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, f.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	f.read(&st)
	if f.kind != Symlink {
		return nil
	}
	n, err := unix.Readlinkat(dir, f.name, s.link)
	if err != nil {
		return err
	}
	f.target = string(s.link[:n])
	return nil
}

func kindOf(st *unix.Stat_t) Kind {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Directory
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFIFO:
		return Pipe
	case unix.S_IFSOCK:
		return Socket
	case unix.S_IFCHR:
		if st.Rdev == 0 { // kernel, filesystems/overlayfs: whiteouts
			return whiteout
		}
		return Device
	case unix.S_IFBLK:
		return Device
	}
	return File
}
