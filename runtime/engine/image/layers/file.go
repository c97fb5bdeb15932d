package layers

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

const maxLinks = 40 // path_resolution(7)

// resolve finds the file that a path leads to when the layers end with this one. Links are followed among the entries alone:
// no link of a layer is ever given to the kernel.
func (s *Stack) resolve(name string, layer int) (version, string, error) {
	links, n := 0, int32(0)
	rest := strings.Split(path.Clean("/"+name), "/")
	gone := errdefs.ErrNotFound.WithMessage(fmt.Sprintf("There is no %s in this layer or below.", name))
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			n = max(0, s.nodes[n].parent)
			continue
		}
		next, ok := s.child(n, part)
		if !ok {
			return version{}, "", gone
		}
		v, ok := s.asOf(next, layer)
		if !ok {
			return version{}, "", gone
		}
		if s.entry(v).kind != Symlink {
			n = next
			continue
		}
		if links++; links > maxLinks {
			return version{}, "", errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf("%s leads through too many symbolic links.", name))
		}
		target := s.layers[v.layer].target(v.entry)
		if strings.HasPrefix(target, "/") {
			n = 0
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	v, ok := s.asOf(n, layer)
	if !ok {
		return version{}, "", gone
	}
	return v, string(s.path(nil, n)), nil
}

// openFile opens a regular file of a layer's directory: never a pipe or a device, and nothing that a link leads to.
func openFile(dir, name string) (*os.File, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: beneath}
	fd, err := unix.Openat2(root, strings.TrimPrefix(name, "/"), &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	h := os.NewFile(uintptr(fd), name)
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	return pathrs.Reopen(h, unix.O_RDONLY|unix.O_CLOEXEC)
}

func notRegular(name string) error {
	return errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf("%s is no regular file: there is nothing to read.", name))
}
