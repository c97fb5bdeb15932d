package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of processor time in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// held is private memory in bytes.
type held struct{ engine, init, server int64 }

// memoryOf returns the private memory of a process: proc(5), smaps_rollup.
func memoryOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 3 && strings.HasPrefix(f[0], "Private_") && f[2] == "kB" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += kb << 10
		}
	}
	return sum, nil
}

// crowdMemory adds up what sessions hold, without their shells; before is what the server held without them.
func (b *bench) crowdMemory(machines []*machine, before int64) (held, error) {
	after, err := memoryOf(b.server.cmd.Process.Pid)
	if err != nil {
		return held{}, err
	}
	h := held{server: after - before}
	engines, inits := 0, 0
	for _, m := range machines {
		engine, err := findProcess(func(cmdline string) bool { return cmdline == "berth\x00sandbox\x00"+string(m.id)+"\x00" }, 0)
		if err != nil {
			return h, err
		}
		init, err := findProcess(func(cmdline string) bool { return strings.HasSuffix(strings.TrimRight(cmdline, "\x00"), "docker-init") }, engine)
		if err != nil {
			return h, err
		}
		for pid, sum := range map[int]*int64{engine: &h.engine, init: &h.init} {
			n, err := memoryOf(pid)
			if err != nil {
				return h, err
			}
			*sum += n
		}
		engines, inits = engines+1, inits+1
	}
	if engines != len(machines) || inits != len(machines) {
		return h, fmt.Errorf("%d engines and %d inits for %d sessions", engines, inits, len(machines))
	}
	return h, nil
}

// findProcess finds a process by its command line and, where that is not 0, its parent.
func findProcess(match func(cmdline string) bool, parent int) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !match(string(b)) {
			continue // ended meanwhile, or another one
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return 0, err
		}
		if parent == 0 || parentOf(pid) == parent {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("a process of a session (child of %d) is not found", parent)
}

// statFields are those of /proc/PID/stat after the command: the first is the state (proc(5): field 3).
func statFields(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

func parentOf(pid int) int {
	f := statFields(pid)
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}

// cpuOver returns which part of a core a process uses over a time.
func cpuOver(ctx context.Context, pid int, over time.Duration) (float64, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(over):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	after, err := cpuTime(pid)
	return float64(after-before) / float64(time.Since(began)), err
}

func cpuTime(pid int) (time.Duration, error) {
	f := statFields(pid)
	if len(f) < 13 {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	var sum int64
	for _, ticks := range f[11:13] { // utime, stime
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}
