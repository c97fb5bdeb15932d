package main

import (
	"errors"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci/join"
)

// pathMax is the longest path in bytes, its end included: linux/limits.h.
const pathMax = 4096

// plan is the list of what the child does. What the calls point to is held in kept: addresses alone keep nothing alive.
type plan struct {
	calls []call
	kept  []any
}

func (p *plan) add(k kind, what string, number uintptr, args ...uintptr) {
	c := call{number: number, kind: k, what: what}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
}

// at is the address of what v points to, which will be kept.
func at[T any](p *plan, v *T) uintptr {
	p.kept = append(p.kept, v)
	return uintptr(unsafe.Pointer(v)) //nolint:gosec // for system calls, which take addresses
}

// text is the address of a string that ends with a zero byte.
func (p *plan) text(s string) (uintptr, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return 0, unix.EINVAL
	}
	b := append([]byte(s), 0)
	return at(p, &b[0]), nil
}

// texts is the address of a list of strings that ends with a null pointer, as execve(2) takes it.
func (p *plan) texts(list []string) (uintptr, error) {
	addresses := make([]uintptr, len(list)+1)
	for i, s := range list {
		a, err := p.text(s)
		if err != nil {
			return 0, err
		}
		addresses[i] = a
	}
	return at(p, &addresses[0]), nil
}

// start forks the child, which becomes the program, and waits until it has. have is what there is of capabilities, last the
// kernel's last.
func start(r *join.Request, files [3]int, have uint64, last int) (int, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, fail("make a pipe", err)
	}
	p := &plan{}
	if err := p.prepare(r, files, have, last); err != nil {
		return 0, err
	}
	said := &failure{}
	mask, err := blockSignals()
	if err != nil {
		return 0, fail("block signals", err)
	}
	pid, errno := fork(p.calls, uintptr(pipe[1]), said)
	runtime.KeepAlive(p)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, mask, nil); err != nil {
		return 0, fail("unblock signals", err)
	}
	if errno != 0 {
		return 0, fail("fork", errno)
	}
	_ = unix.Close(pipe[1])                                     // the child's end is what is waited for
	b := (*[unsafe.Sizeof(*said)]byte)(unsafe.Pointer(said))[:] //nolint:gosec // as the child writes it
	for {
		n, err := unix.Read(pipe[0], b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return pid, fail("read from the child", err)
		case n == 0: // execve(2) has closed it
			return pid, nil
		}
		return pid, explain(r, p.calls[said.call], said.errno)
	}
}

// blockSignals keeps signals from the child until it has default handlers for all of them.
func blockSignals() (*unix.Sigset_t, error) {
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	return &before, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before)
}
