package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal of the container's own devpts, whatever the container has put in its place.
func openTerminal(rows, cols uint16) (master, slave int, err error) {
	dir, err := unix.Open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(dir)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(dir, &fs); err != nil {
		return -1, -1, err
	}
	if fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return -1, -1, errors.New("/dev/pts is not devpts")
	}
	master, err = unix.Openat2(dir, "ptmx", &unix.OpenHow{
		Flags: unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return -1, -1, err
	}
	if slave, err = openSlave(master, rows, cols); err != nil {
		return -1, -1, errors.Join(err, unix.Close(master))
	}
	return master, slave, nil
}

func openSlave(master int, rows, cols uint16) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	size := unix.Winsize{Row: rows, Col: cols}
	if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size); err != nil {
		return -1, errors.Join(err, unix.Close(int(fd)))
	}
	return int(fd), nil
}
