package unpack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
)

// ChildCommand is the hidden command of this program that runs Child.
const ChildCommand = "unpack-layer"

// DefaultIDBase is the first host id of the range that the children run as: high, so that no account has it, and clear
// of the ranges that sessions are given.
const DefaultIDBase = 0x7000_0000

const (
	idCount     = 65536
	pipeBytes   = 1 << 20         // fs.pipe-max-size allows root any; fewer switches between parent and child
	stderrBytes = 4 << 10         // what is kept of a child's last words
	reportBytes = 64 << 10        // one message on the control socket
	waitDelay   = 5 * time.Second // after a kill, for the pipes to close
)

type role string

const (
	roleDecompress role = "decompress"
	roleUnpack     role = "unpack"
)

// order is what the parent tells a child, on the control socket, together with the mount of the layer's directory.
type order struct {
	Role    role    `json:"role"`
	Format  format  `json:"format,omitempty"`
	Budgets Budgets `json:"budgets"`
}

// report is a child's last message. It comes from a process that parsed hostile data: text in it is cleaned, numbers
// are only ever shown.
type report struct {
	Error   string       `json:"error,omitempty"`
	Budget  *BudgetError `json:"budget,omitempty"`
	Entries int64        `json:"entries"`
	Bytes   int64        `json:"bytes"` // sum of the sizes of regular files
	Notes   []string     `json:"notes,omitempty"`
}

// jail is one running child.
type jail struct {
	cmd    *exec.Cmd
	stdin  *os.File // write end
	stdout *os.File // read end; nil for the unpacker
	socket *os.File
	stderr tail
}

// startJail starts a child and hands it its order. dir is the layer's directory, nil for the decompressor.
func startJail(ctx context.Context, command []string, idBase int, o order, dir *os.File) (_ *jail, err error) {
	j := &jail{}
	var theirs []*os.File
	defer func() {
		closeAll(theirs...)
		if err != nil {
			closeAll(j.stdin, j.stdout, j.socket)
		}
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	j.socket = os.NewFile(uintptr(pair[0]), "control")
	control := os.NewFile(uintptr(pair[1]), "control")
	theirs = append(theirs, control)
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	j.stdin, theirs = stdin, append(theirs, in)
	_, _ = unix.FcntlInt(stdin.Fd(), unix.F_SETPIPE_SZ, pipeBytes) // speed only
	j.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	j.cmd.Stdin, j.cmd.Stderr = in, &j.stderr
	if o.Role == roleDecompress {
		stdout, out, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		j.stdout, j.cmd.Stdout, theirs = stdout, out, append(theirs, out)
		_, _ = unix.FcntlInt(out.Fd(), unix.F_SETPIPE_SZ, pipeBytes)
	}
	j.cmd.ExtraFiles = []*os.File{control} // fd 3
	j.cmd.Dir, j.cmd.WaitDelay = "/", waitDelay
	j.cmd.Env = []string{"PATH=/", "GOMEMLIMIT=256MiB"}
	j.cmd.SysProcAttr = namespaces(idBase)
	if err = chroot.Thread(j.cmd.Start); err != nil {
		return nil, explainStart(err)
	}
	if err := j.send(o, dir); err != nil {
		j.kill()
		return nil, err
	}
	return j, nil
}

// namespaces puts the child at clone into namespaces of its own, as root of its own ids only.
func namespaces(idBase int) *syscall.SysProcAttr {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: idBase, Size: idCount}}
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0}, // of the mapping: until then it has the parent's ids
		Setsid:     true,                                // no terminal, and ctrl-C comes through the parent
	}
}

func explainStart(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("start the unprivileged unpacker: %w (it needs root and user namespaces: see "+
			"sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone)", err)
	}
	return fmt.Errorf("start the unprivileged unpacker: %w", err)
}

func (j *jail) send(o order, dir *os.File) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var rights []byte
	if dir != nil {
		userns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", j.cmd.Process.Pid))
		if err != nil {
			return err
		}
		defer userns.Close()
		mount, err := idmappedMount(dir, userns)
		if err != nil {
			return err
		}
		defer mount.Close()
		rights = unix.UnixRights(int(mount.Fd()))
	}
	// MSG_NOSIGNAL: a child that died at once is an error, not our end.
	if err := unix.Sendmsg(int(j.socket.Fd()), body, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("tell the unpacker what to do: %w", err)
	}
	return nil
}

// kill ends the child, and with it all of its PID namespace, and reaps it.
func (j *jail) kill() {
	_ = j.cmd.Process.Kill() // it may have ended
	_ = j.cmd.Wait()         // it was killed: nothing to learn
	closeAll(j.stdin, j.stdout, j.socket)
}

// wait reaps the child and returns what it reported. Close stdin before.
func (j *jail) wait() (report, error) {
	waitErr := j.cmd.Wait()
	defer closeAll(j.stdin, j.stdout, j.socket)
	buf := make([]byte, reportBytes)
	n, _, err := unix.Recvfrom(int(j.socket.Fd()), buf, unix.MSG_DONTWAIT)
	var r report
	if err == nil && n > 0 && json.Unmarshal(buf[:n], &r) == nil {
		r.Error = printable(r.Error)
		for i := range r.Notes {
			r.Notes[i] = printable(r.Notes[i])
		}
		switch {
		case r.Budget != nil:
			return r, r.Budget
		case r.Error != "":
			return r, errors.New(r.Error)
		case waitErr == nil:
			return r, nil
		}
	}
	if waitErr == nil {
		waitErr = errors.New("it ended without a report")
	}
	if said := printable(strings.TrimSpace(j.stderr.String())); said != "" {
		return r, fmt.Errorf("the unpacker failed: %w: %s", waitErr, said)
	}
	return r, fmt.Errorf("the unpacker failed: %w", waitErr)
}

// printable makes text of a child fit for a terminal and a log: no control characters, of bounded length.
func printable(s string) string {
	const most = 2048
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
}

// tail keeps the first bytes of what it is given and forgets the rest.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	if room := stderrBytes - len(t.buf); room > 0 {
		t.buf = append(t.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // pipes and sockets: nothing is written back; closing twice is harmless
		}
	}
}
