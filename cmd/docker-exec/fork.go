package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is one system call of the child, prepared.
type call struct {
	number uintptr
	args   [6]uintptr
	kind   kind
	what   string // for the message when it fails
	path   *byte  // of kind inside: where its answer is
}

type kind uint8

const (
	must    kind = iota // its failure is the end
	try                 // its failure is looked at by the next call of kind again
	again               // made only where the last try failed for want of rights
	program             // execve(2): when it fails for the file's sake, the next one is tried
	inside              // getcwd(2): the path it gives has to begin with a slash
)

// failure is what a child says before it exits: which of its calls, and why.
type failure struct {
	call  int64
	errno int64
}

// outside is the error of a call of kind inside.
const outside = -1

// fork makes a child that makes the calls and ends with the program, or with a failure written to report. It is a child of the
// engine: CLONE_PARENT. It has a copy of this process's memory, not the memory itself, and in it only this thread: it must
// neither allocate, nor grow its stack, nor call into the scheduler, which is why everything is prepared, as in package syscall.
//
//go:norace
//go:noinline
//go:nosplit
func fork(calls []call, report uintptr, said *failure) (pid int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || r != 0 {
		return int(r), errno
	}
	var denied, last syscall.Errno
	at := 0
	for i := range calls {
		c := &calls[i]
		if c.kind == again && denied == 0 {
			continue
		}
		_, _, e := syscall.RawSyscall6(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		switch {
		case e == 0 && c.kind == inside && *c.path != '/':
			at, last = i, syscall.Errno(0)
			said.errno = outside
		case e == 0:
			denied = 0
			continue
		case c.kind == try && (e == unix.EACCES || e == unix.EPERM):
			denied = e
			continue
		case c.kind == program && (e == unix.ENOENT || e == unix.EACCES || e == unix.ENOTDIR):
			at, last = i, e
			continue
		default:
			at, last = i, e
		}
		break
	}
	said.call = int64(at)
	if said.errno != outside {
		said.errno = int64(last)
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, report, uintptr(unsafe.Pointer(said)), unsafe.Sizeof(*said)) //nolint:gosec // a system call
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
