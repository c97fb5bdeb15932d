package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// Bounds on ending everything: programs in uninterruptible sleep end late.
const (
	endAllTimeout = 10 * time.Second
	endAllPause   = 10 * time.Millisecond
)

// EndProcesses ends every process of the workspace but its first, and returns how many there were. It is the way out of a
// fork bomb, when no program can be started that would end the others: no new process may be made meanwhile.
func (w *workspace) EndProcesses(ctx context.Context) (ended int, err error) {
	group, err := w.pidsGroup()
	if err != nil {
		return 0, err
	}
	limit := filepath.Join(group, "pids.max")
	if err := os.WriteFile(limit, []byte("1"), 0); err != nil { // below what runs: every fork is refused
		return 0, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(limit, []byte("max"), 0)) }()
	ctx, cancel := context.WithTimeout(ctx, endAllTimeout)
	defer cancel()
	tick := time.NewTicker(endAllPause)
	defer tick.Stop()
	seen := map[int]bool{}
	for {
		left, err := w.killAll(group, seen)
		if err != nil || left == 0 {
			return len(seen), err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return len(seen), fmt.Errorf("%d processes do not end: %w", left, context.Cause(ctx))
		}
	}
}

// pidsGroup is the workspace's directory in the hierarchy that has the pids controller.
func (w *workspace) pidsGroup() (string, error) {
	for _, pattern := range []string{boot.Cgroup, boot.Cgroup + "/*pids*"} { // version 2, version 1
		found, err := filepath.Glob(pattern + boot.Payload + "/" + workspaceID + "/pids.max")
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return filepath.Dir(found[0]), nil
		}
	}
	return "", errors.New("the workspace has no control group for processes")
}

// killAll kills what is in the group, notes it in seen, and returns how many processes there were.
func (w *workspace) killAll(group string, seen map[int]bool) (int, error) {
	b, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return 0, err
	}
	left := 0
	for line := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return 0, err
		}
		if pid == w.init.PID || pid <= 1 {
			continue
		}
		left, seen[pid] = left+1, true
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, err
		}
	}
	return left, nil
}
