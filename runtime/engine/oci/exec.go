package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci/join"
	"berth/runtime/engine/process"
)

// Exec starts a process in a running container with files as its standard input, output and error. They are the
// caller's to close, as soon as Exec returns.
func (r *Runtime) Exec(ctx context.Context, id string, p *specs.Process, files []*os.File) (*process.Process, error) {
	started, _, err := r.exec(ctx, id, p, files)
	return started, err
}

// ExecTTY starts a process in a running container on a terminal of its own; it returns the terminal's master.
func (r *Runtime) ExecTTY(ctx context.Context, id string, p *specs.Process) (*process.Process, *os.File, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	return r.exec(ctx, id, p, []*os.File{null, null, null})
}

// exec has docker-exec start the process: not runc, which takes five times as long (docs/adr/0009).
func (r *Runtime) exec(ctx context.Context, id string, p *specs.Process, files []*os.File) (*process.Process, *os.File, error) {
	m := r.member(id)
	if m == nil {
		return nil, nil, &Error{Code: 1, Message: "container does not exist"}
	}
	request, err := r.joining(m, p)
	if err != nil {
		return nil, nil, err
	}
	target, err := r.Reaper.PIDFD(m.init)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil, &Error{Code: 1, Message: "cannot exec in a stopped container"}
	}
	if err != nil {
		return nil, nil, err
	}
	defer target.Close()
	file, err := memoryFile(request.Encode())
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	return r.startJoined(ctx, append(slices.Clone(files), file), target)
}

// startJoined runs docker-exec and makes a process of what it answers.
func (r *Runtime) startJoined(ctx context.Context, files []*os.File, target *os.File) (*process.Process, *os.File, error) {
	ours, theirs, err := answerSockets()
	if err != nil {
		return nil, nil, err
	}
	defer ours.Close()
	since := r.Reaper.Now()
	helper, err := r.Reaper.Start(r.ExecPath, []string{"docker-exec"}, &os.ProcAttr{
		Files: append(files, theirs, target), Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=off"},
	})
	_ = theirs.Close() // the helper has its own, and its end is ours to see
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = helper.Signal(unix.SIGKILL) })
	defer stop()
	answer, master, err := readAnswer(ours)
	if status, failed := helper.Wait(context.WithoutCancel(ctx)); err == nil && failed == nil && answer == "" {
		err = fmt.Errorf("docker-exec ended with %d, without an answer", status.Code)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, closing(err, master)
	}
	if answer[0] != join.Started {
		return nil, nil, closing(&Error{Code: 1, Message: "unable to start container process: " + answer[1:]}, master)
	}
	pid, err := strconv.Atoi(answer[1:])
	if err != nil {
		return nil, nil, closing(fmt.Errorf("docker-exec answered %q", answer), master)
	}
	return r.Reaper.Adopt(pid, since), master, nil
}

// closing returns err, when the terminal is of no use.
func closing(err error, master *os.File) error {
	if master == nil {
		return err
	}
	return errors.Join(err, master.Close())
}

// memoryFile is a file that holds b.
func memoryFile(b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("join", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "join")
	if _, err := f.Write(b); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func answerSockets() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "answer")
	mine := os.NewFile(uintptr(fds[0]), "answer")
	defer mine.Close() // FileConn takes a copy
	conn, err := net.FileConn(mine)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil //nolint:forcetypeassert // a socket of AF_UNIX
}

// readAnswer reads the one message; it is empty when the helper has died.
func readAnswer(conn *net.UnixConn) (string, *os.File, error) {
	b, oob := make([]byte, join.MaxAnswer), make([]byte, unix.CmsgSpace(4)) // one descriptor
	n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if oobn == 0 {
		return string(b[:n]), nil, nil
	}
	master, err := terminalFrom(oob[:oobn])
	return string(b[:n]), master, err
}

// joining translates a process of a specification.
func (r *Runtime) joining(m *member, p *specs.Process) (*join.Request, error) {
	q := &join.Request{
		Groups: r.groupFiles(m), Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: p.User.UID, GID: p.User.GID, Extra: p.User.AdditionalGids, Umask: -1,
		NoNewPrivileges: p.NoNewPrivileges, Filter: []byte(m.filter.Value()), FilterFlags: m.filterFlags, TTY: p.Terminal,
	}
	if p.User.Umask != nil {
		q.Umask = int32(*p.User.Umask)
	}
	if p.OOMScoreAdj != nil {
		q.OOMScoreAdj = int32(*p.OOMScoreAdj)
	}
	if p.ConsoleSize != nil {
		q.Rows, q.Cols = uint16(p.ConsoleSize.Height), uint16(p.ConsoleSize.Width)
	}
	if c := p.Capabilities; c != nil {
		q.Bounding, q.Effective, q.Permitted, q.Inheritable = set(c.Bounding), set(c.Effective), set(c.Permitted), set(c.Inheritable)
	}
	for _, l := range p.Rlimits {
		u, err := units.ParseUlimit(strings.ToLower(strings.TrimPrefix(l.Type, rlimitPrefix)) + "=0")
		if err != nil {
			return nil, err
		}
		number, err := u.GetRlimit()
		if err != nil {
			return nil, err
		}
		q.Rlimits = append(q.Rlimits, join.Rlimit{Resource: uint32(number.Type), Soft: l.Soft, Hard: l.Hard})
	}
	return q, nil
}

// set is a set of capabilities by their numbers, which are their places in the kernel's order.
func set(names []string) (bits uint64) {
	for _, n := range names {
		if i := slices.Index(allCapabilities, n); i >= 0 {
			bits |= 1 << i
		}
	}
	return bits
}

// groupFiles are the files by which a thread puts itself into a container's group. On version 1 a thread moves alone, which
// spares the kernel a wait of milliseconds for all others: what it forks is born there.
func (r *Runtime) groupFiles(m *member) []string {
	if r.Cgroups.Unified {
		return []string{filepath.Join(r.Cgroups.Root, r.liveGroup(m), "cgroup.procs")}
	}
	var files []string
	for _, dir := range r.Cgroups.all(m.group) {
		files = append(files, filepath.Join(dir, "tasks"))
	}
	return files
}

// liveGroup is the container's group of version 2, or the one below in which its first process is: a container that manages
// groups of its own has moved it, and no process may stand beside groups with controllers (cgroups(7)).
func (r *Runtime) liveGroup(m *member) string {
	if controllers, err := r.Cgroups.Read("", m.group, "cgroup.subtree_control"); err != nil || controllers == "" {
		return m.group
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(m.init.PID) + "/cgroup")
	group, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if err != nil || !ok || !strings.HasPrefix(group, m.group+"/") {
		return m.group
	}
	return group
}
