// Command docker-exec joins a container and starts a program in it: `docker exec`, health checks and every shell of a
// workspace begin with it. It does what `runc exec` does, in the same order, without runc's two starts of a large program and
// its compilation of the system call filter for each process anew (docs/adr/0009). Only the engine calls it: package join.
//
// Until the namespaces are joined nobody in the container sees it; afterwards it is seen by none but its forked child,
// which makes nothing but system calls that were prepared before: fork.go.
package main

import (
	"errors"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci/join"
)

func main() {
	runtime.LockOSThread() // namespaces, control groups of version 1 and credentials are a thread's
	pid, master, err := run()
	var answer []byte
	switch {
	case err != nil:
		answer = append([]byte{join.Failed}, err.Error()...)
	default:
		answer = strconv.AppendInt([]byte{join.Started}, int64(pid), 10)
	}
	var rights []byte
	if master >= 0 {
		rights = unix.UnixRights(master)
	}
	if unix.Sendmsg(join.AnswerFD, answer[:min(len(answer), join.MaxAnswer)], rights, nil, 0) != nil || err != nil {
		syscall.Exit(1)
	}
}

// run starts the program and returns its PID, and the master of its terminal or -1.
func run() (pid, master int, err error) {
	// Nobody may look into this process or the one that it forks, until that has become the program.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 0, -1, fail("set dumpable", err)
	}
	r, err := request()
	if err != nil {
		return 0, -1, fail("read the request", err)
	}
	have, last, err := capabilities()
	if err != nil {
		return 0, -1, fail("read capabilities", err)
	}
	if err := enter(r); err != nil {
		return 0, -1, err
	}
	files := [3]int{0, 1, 2}
	master = -1
	if r.TTY {
		var slave int
		if master, slave, err = openTerminal(r.Rows, r.Cols); err != nil {
			return 0, -1, fail("open a terminal", err)
		}
		files = [3]int{slave, slave, slave}
	}
	if err := own(files[:], int(r.UID)); err != nil {
		return 0, master, fail("unable to setup user", err)
	}
	pid, err = start(r, files, have, last)
	return pid, master, err
}

// request reads what the engine wants.
func request() (*join.Request, error) {
	if err := unix.CloseRange(join.RequestFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(join.RequestFD, &st); err != nil {
		return nil, err
	}
	b := make([]byte, st.Size)
	for have := 0; have < len(b); {
		n, err := unix.Pread(join.RequestFD, b[have:], int64(have))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			b = b[:have]
		}
		have += n
	}
	return join.Decode(b)
}

// capabilities are what this process has, and the last that the kernel knows.
func capabilities() (have uint64, last int, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, err
	}
	for last = 0; last < 63; last++ { // PR_CAPBSET_READ: EINVAL for what there is not
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(last+1), 0, 0, 0); err != nil {
			break
		}
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted), last, nil //nolint:nilerr // the error says which is the last
}

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// enter makes this thread one of the container, as far as can be without a new process.
func enter(r *join.Request) error {
	if err := write("/proc/self/oom_score_adj", strconv.Itoa(int(r.OOMScoreAdj))); err != nil {
		return fail("set the OOM score", err)
	}
	for _, file := range r.Groups {
		if err := write(file, "0"); err != nil {
			return fail("join the control group "+file, err)
		}
	}
	// setns(2) takes a mount namespace only from a thread that shares its root and working directory with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fail("unshare", err)
	}
	if err := unix.Setns(join.TargetFD, namespaces); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return errors.New("cannot exec in a stopped container")
		}
		return fail("join the namespaces", err)
	}
	return nil
}

func write(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return errors.Join(err, unix.Close(fd))
}

// own gives the standard files to the program's user, as far as that can be: it shall be able to open /dev/stdout again.
func own(files []int, uid int) error {
	for _, fd := range files {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		null := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
		if null || int(st.Uid) == uid {
			continue
		}
		if err := unix.Fchown(fd, uid, -1); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	return nil
}

// fail is an error without fmt, which would bring in os.
func fail(what string, err error) error {
	return errors.New(what + ": " + err.Error())
}
