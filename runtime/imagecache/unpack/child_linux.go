package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const controlFD = 3 // the first of exec.Cmd's ExtraFiles

// Limits of a child's own process. Memory: the decoders are bounded too (decompress.go); this is for the rest.
const (
	childDataBytes = 1 << 30 // RLIMIT_DATA: a zstd window, and the names of a million directories
	childFiles     = 64
	childTasks     = 256 // threads of Go; counted in this user namespace only (kernel 5.14)
)

// Child is the whole life of a child: it is what the hidden command runs, and returns the status to exit with. Everything
// it needs comes through the control socket; run by hand it only says what it is for.
func Child() int {
	// If capabilities cannot be dropped on all threads at once (a cgo build), they are dropped on this one.
	runtime.LockOSThread()
	o, mount, err := receive()
	if err != nil {
		fmt.Fprintln(os.Stderr, "this command is only run by berth itself, to unpack a layer:", err)
		return 2
	}
	r, err := serveOrder(o, mount)
	if err != nil {
		r.Error = err.Error()
		_ = errors.As(err, &r.Budget)
	}
	body, err := json.Marshal(r)
	if err == nil {
		err = unix.Sendto(controlFD, body, unix.MSG_NOSIGNAL, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveOrder(o order, mount int) (report, error) {
	if err := enterJail(mount, o.Budgets); err != nil {
		return report{}, fmt.Errorf("lock the unpacker in: %w", err)
	}
	stdin := os.NewFile(0, "stream")
	switch o.Role {
	case roleDecompress:
		return report{}, decompress(os.NewFile(1, "tar"), stdin, o.Format)
	case roleUnpack:
		return unpackTar("/", stdin, o.Budgets)
	}
	return report{}, fmt.Errorf("unknown role %q", o.Role)
}

// receive reads the order and, for the unpacker, the descriptor of the mount (else -1).
func receive() (order, int, error) {
	var o order
	buf, oob := make([]byte, reportBytes), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(controlFD, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return o, -1, fmt.Errorf("no control socket: %w", err)
	}
	if err := json.Unmarshal(buf[:n], &o); err != nil {
		return o, -1, fmt.Errorf("no order: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) == 0 {
		return o, -1, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return o, -1, fmt.Errorf("no mount: %w", err)
	}
	return o, fds[0], nil
}

// enterJail makes the given mount (or an empty tmpfs) the root of this mount namespace, drops the rest, every other
// descriptor and every right that unpacking does not need.
func enterJail(mount int, b Budgets) error {
	unix.Umask(0)
	if err := closeInherited(mount); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// Any directory serves as the place of the new root; /proc is there wherever Go programs start children.
	const place = "/proc"
	if mount >= 0 {
		if err := unix.MoveMount(mount, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("attach the layer's directory: %w", err)
		}
		_ = unix.Close(mount)
	} else if err := unix.Mount("tmpfs", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555"); err != nil {
		return fmt.Errorf("mount an empty root: %w", err)
	}
	// A copy of a shared mount is shared too, as all are under systemd, and pivot_root(2) refuses those.
	if err := unix.Mount("", place, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the new root private: %w", err)
	}
	if err := unix.Chdir(place); err != nil {
		return err
	}
	// pivot_root(2), "pivot_root(".", ".")": the old root lands on top of the new one and is taken off again.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's files: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := limitProcess(b); err != nil {
		return err
	}
	return dropRights()
}

// closeInherited closes what the parent's own parents may have left open without close-on-exec. Go's own descriptors
// (epoll, eventfd) must stay.
func closeInherited(mount int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= controlFD || fd == mount {
			continue
		}
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || strings.HasPrefix(target, "anon_inode:") {
			continue // closed meanwhile (the listing itself), or the runtime's
		}
		_ = unix.Close(fd)
	}
	return nil
}

func limitProcess(b Budgets) error {
	for resource, limit := range map[int]uint64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_DATA:   childDataBytes,
		unix.RLIMIT_NOFILE: childFiles,
		unix.RLIMIT_NPROC:  childTasks,
		unix.RLIMIT_FSIZE:  uint64(b.FileBytes), // #nosec G115 -- a budget is positive
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("setrlimit %d: %w", resource, err)
		}
	}
	return nil
}

// dropRights keeps only the capabilities that writing a layer needs, over this user namespace's ids, and gives up the
// chance to gain others by exec.
func dropRights() error {
	keep := uint32(0)
	for _, c := range []uint{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER,
		unix.CAP_FSETID, unix.CAP_SETFCAP, unix.CAP_MKNOD} {
		keep |= 1 << (c % 32)
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return capset(keep)
}

// onAllThreads makes a system call on every thread, or in a cgo build, where Go cannot, on this one.
func onAllThreads(trap, a1, a2, a3 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0)
	if errno == syscall.ENOTSUP {
		_, _, errno = syscall.Syscall6(trap, a1, a2, a3, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// unpackTar reads a tar stream to its end and writes it below root.
func unpackTar(root string, stream io.Reader, b Budgets) (report, error) {
	w, err := newWriter(root, b)
	if err != nil {
		return report{}, err
	}
	defer w.close()
	err = w.readTar(stream)
	return w.report(), err
}
