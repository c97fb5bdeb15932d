package files

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// WriteTar writes a directory, or one file, as a tar stream. Sockets are left out, as tar(1) does, and so is what the
// kernel makes up below the directory: proc and its like, and the devices that are mounted in a container's /dev. A file
// that shrinks meanwhile is an error; one that grows is cut at the size it had. Hard links stay such, and attributes of
// files that are the user's, or capabilities(7), are kept.
func (t *Tree) WriteTar(name string, w io.Writer) error {
	dir, base, err := t.archiveRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return pack(dir, base, w, func(p string) string {
		if p == "." {
			return ""
		}
		return p
	})
}

func (t *Tree) archiveRoot(name string) (*os.Root, string, error) {
	f, info, err := t.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if !info.IsDir() {
		return t.parent(name)
	}
	root, err := t.openRoot(name)
	return root, ".", err
}

// packer writes what is in a directory to a tar stream.
type packer struct {
	tw     *tar.Writer
	dir    *os.Root
	name   func(p string) string // of an entry; "": it has none
	device uint64                // of the top
	madeUp map[uint64]bool       // by device: whether its files are the kernel's answers
	links  map[inode]string      // the names under which files with several are there already
}

type inode struct{ device, number uint64 }

// pack writes what is at base and below.
func pack(dir *os.Root, base string, w io.Writer, name func(string) string) error {
	p := &packer{tw: tar.NewWriter(w), dir: dir, name: name, madeUp: map[uint64]bool{}, links: map[inode]string{}}
	info, err := dir.Lstat(base)
	if err != nil {
		return err
	}
	p.device = info.Sys().(*unixStat).Dev
	p.madeUp[p.device] = false // it was asked for
	return errors.Join(p.add(base), p.tw.Close())
}

// add adds what is at name and below. fs.WalkDir would refuse names that are not UTF-8.
func (p *packer) add(name string) error {
	info, err := p.dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	switch kind := info.Mode().Type(); {
	case kind == fs.ModeDir:
		return p.directory(name, info)
	case kind == 0:
		return p.file(name, info)
	case kind == fs.ModeSocket, kind&fs.ModeDevice != 0 && info.Sys().(*unixStat).Dev != p.device:
		return nil
	}
	return p.header(name, info, nil)
}

func (p *packer) directory(name string, info fs.FileInfo) error {
	f, err := p.dir.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.header(name, info, f); err != nil || p.isMadeUp(f, info) {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	for _, below := range names {
		if err := p.add(path.Join(name, below)); err != nil {
			return err
		}
	}
	return nil
}

// isMadeUp reports whether an open directory is of a file system whose files are the kernel's answers.
func (p *packer) isMadeUp(f *os.File, info fs.FileInfo) bool {
	device := info.Sys().(*unixStat).Dev
	if is, ok := p.madeUp[device]; ok {
		return is
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	switch st.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC:
		p.madeUp[device] = true
	default:
		p.madeUp[device] = false
	}
	return p.madeUp[device]
}

func (p *packer) file(name string, info fs.FileInfo) error {
	f, err := p.dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a pipe meanwhile
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st := info.Sys().(*unixStat)
	if st.Nlink > 1 {
		key := inode{st.Dev, st.Ino}
		if first, ok := p.links[key]; ok {
			return p.tw.WriteHeader(&tar.Header{
				Typeflag: tar.TypeLink, Name: p.name(name), Linkname: first, Mode: int64(info.Mode().Perm()),
				Uid: int(st.Uid), Gid: int(st.Gid), ModTime: info.ModTime(), Format: tar.FormatPAX,
			})
		}
		p.links[key] = p.name(name)
	}
	if err := p.header(name, info, f); err != nil {
		return err
	}
	_, err = io.CopyN(p.tw, f, info.Size())
	return err
}

// header writes an entry's header. f is the open file or directory; nil for what is not to be opened.
func (p *packer) header(name string, info fs.FileInfo, f *os.File) error {
	as := p.name(name)
	if as == "" {
		return nil
	}
	var target string
	if info.Mode().Type() == fs.ModeSymlink {
		var err error
		if target, err = p.dir.Readlink(name); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = as, "", "", tar.FormatPAX
	if info.IsDir() && as[len(as)-1] != '/' {
		h.Name += "/"
	}
	if f != nil {
		h.PAXRecords, err = attributes(f)
	}
	return errors.Join(err, p.tw.WriteHeader(h))
}
