package main

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci/join"
)

// prepare lists the child's calls, in the order in which runc does the same.
func (p *plan) prepare(r *join.Request, files [3]int, have uint64, last int) error {
	p.resetSignals()
	p.add(must, "setsid", unix.SYS_SETSID)
	for to, fd := range files {
		if fd != to {
			p.add(must, "dup3", unix.SYS_DUP3, uintptr(fd), uintptr(to), 0)
		}
	}
	if r.TTY {
		p.add(must, "set the controlling terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	if r.NoNewPrivileges {
		p.add(must, "set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if r.Umask >= 0 {
		p.add(must, "umask", unix.SYS_UMASK, uintptr(r.Umask))
	}
	for _, l := range r.Rlimits {
		p.add(must, "error setting rlimit type "+strconv.Itoa(int(l.Resource)), unix.SYS_PRLIMIT64, 0, uintptr(l.Resource),
			at(p, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}), 0)
	}
	if !r.NoNewPrivileges { // without it a filter takes rights, which go next
		p.filter(r)
	}
	if err := p.become(r, have, last); err != nil {
		return err
	}
	if r.NoNewPrivileges {
		p.filter(r)
	}
	return p.execute(r)
}

// resetSignals gives every signal its default and lets it through.
func (p *plan) resetSignals() {
	byDefault := at(p, &[4]uint64{}) // struct sigaction of the kernel: handler, flags, restorer, mask
	const size = 8                   // of a set: 64 signals
	for sig := uintptr(1); sig <= 64; sig++ {
		if s := unix.Signal(sig); s != unix.SIGKILL && s != unix.SIGSTOP {
			p.add(must, "reset signals", unix.SYS_RT_SIGACTION, sig, byDefault, 0, size)
		}
	}
	p.add(must, "unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, at(p, &unix.Sigset_t{}), 0, size)
}

// filter installs the container's system call filter.
func (p *plan) filter(r *join.Request) {
	if len(r.Filter) == 0 {
		return
	}
	prog := make([]unix.SockFilter, len(r.Filter)/unix.SizeofSockFilter)
	for i := range prog {
		b := r.Filter[i*unix.SizeofSockFilter:]
		prog[i] = unix.SockFilter{
			Code: uint16(b[0]) | uint16(b[1])<<8, Jt: b[2], Jf: b[3],
			K: uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24,
		}
	}
	p.kept = append(p.kept, prog)
	p.add(must, "unable to init seccomp", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(r.FilterFlags),
		at(p, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}))
}

// become takes on the user, the working directory and the capabilities.
func (p *plan) become(r *join.Request, have uint64, last int) error {
	dir, err := p.text(r.Cwd)
	if err != nil {
		return fail("chdir to cwd ("+strconv.Quote(r.Cwd)+")", err)
	}
	cwd := "chdir to cwd (" + strconv.Quote(r.Cwd) + ") set in config.json failed"
	p.add(try, cwd, unix.SYS_CHDIR, dir)
	for c := 0; c <= last; c++ {
		if r.Bounding&have&(1<<c) == 0 {
			p.add(must, "unable to apply bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		}
	}
	p.add(must, "unable to set keep caps", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	var groups uintptr
	if len(r.Extra) > 0 {
		groups = at(p, &r.Extra[0])
	}
	const user = "unable to setup user"
	p.add(must, user, unix.SYS_SETGROUPS, uintptr(len(r.Extra)), groups)
	p.add(must, user, unix.SYS_SETRESGID, uintptr(r.GID), uintptr(r.GID), uintptr(r.GID))
	p.add(must, user, unix.SYS_SETRESUID, uintptr(r.UID), uintptr(r.UID), uintptr(r.UID))
	p.add(again, cwd, unix.SYS_CHDIR, dir) // a directory that only this user may enter
	path := &make([]byte, pathMax)[0]
	p.add(inside, "getcwd", unix.SYS_GETCWD, at(p, path), pathMax)
	p.calls[len(p.calls)-1].path = path
	p.add(must, "unable to clear keep caps", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0, 0, 0, 0)
	low := func(set uint64) uint32 { return uint32(set & have) }
	high := func(set uint64) uint32 { return uint32(set & have >> 32) }
	data := &[2]unix.CapUserData{
		{Effective: low(r.Effective), Permitted: low(r.Permitted), Inheritable: low(r.Inheritable)},
		{Effective: high(r.Effective), Permitted: high(r.Permitted), Inheritable: high(r.Inheritable)},
	}
	p.add(must, "unable to apply caps", unix.SYS_CAPSET, at(p, &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}), at(p, data))
	p.add(must, "unable to apply caps", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	return nil
}

// execute tries the program in each place where it may be.
func (p *plan) execute(r *join.Request) error {
	argv, err := p.texts(r.Args)
	if err != nil {
		return fail("exec "+strconv.Quote(r.Args[0]), err)
	}
	envp, err := p.texts(r.Env)
	if err != nil {
		return fail("environment", err)
	}
	places := places(r)
	for _, path := range places {
		file, err := p.text(path)
		if err != nil {
			return fail("exec "+strconv.Quote(path), err)
		}
		p.add(program, path, unix.SYS_EXECVE, file, argv, envp)
	}
	if len(places) == 0 {
		return notFound(r)
	}
	return nil
}

// places are the paths that a program's name stands for. Directories of PATH that are relative are left out, as by package
// os/exec.
func places(r *join.Request) []string {
	name := r.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var path string
	for _, kv := range r.Env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = value
		}
	}
	var list []string
	for dir := range strings.SplitSeq(path, ":") {
		if strings.HasPrefix(dir, "/") && name != "" {
			list = append(list, strings.TrimRight(dir, "/")+"/"+name)
		}
	}
	return list
}
