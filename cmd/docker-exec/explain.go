package main

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci/join"
)

// explain words a child's failure as runc and package os/exec do: scripts and visitors know these sentences, and the engine finds
// Docker's exit codes in them. This thread is in the container: it can look at the files.
func explain(r *join.Request, c call, errno int64) error {
	if errno == outside {
		return errors.New("current working directory is outside of container mount namespace root -- possible container breakout detected")
	}
	err := syscall.Errno(errno)
	if c.kind != program {
		return fail(c.what, err)
	}
	if !strings.Contains(r.Args[0], "/") {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
			for _, path := range places(r) {
				if executable(path) { // then it is its interpreter that is not there
					return fail("exec "+path, unix.ENOENT)
				}
			}
			return notFound(r)
		}
		return fail("exec "+c.what, err)
	}
	_ = unix.Chdir(r.Cwd) // a relative path begins there
	quoted := "exec: " + strconv.Quote(c.what)
	var st unix.Stat_t
	if missing := unix.Stat(c.what, &st); missing != nil {
		return fail(quoted+": stat "+c.what, missing)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fail(quoted, unix.EISDIR)
	case errors.Is(err, unix.EACCES):
		return fail(quoted, err)
	}
	return fail("exec "+c.what, err)
}

func executable(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0
}

func notFound(r *join.Request) error {
	return errors.New("exec: " + strconv.Quote(r.Args[0]) + ": executable file not found in $PATH")
}
