package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks are the kernel's units of time in /proc (USER_HZ), a second's.
const ticks = 100

// processInfo is one process as ps(1) shows it. See proc_pid_stat(5).
type processInfo struct {
	pid, ppid       int
	uid             int
	state, comm     string
	args            string
	tty             int
	utime, stime    uint64 // ticks
	start           uint64 // ticks since boot
	nice, threads   int
	vsize, resident uint64 // bytes, pages
	session, group  int
}

func (p *processInfo) rss() uint64 { return p.resident * uint64(os.Getpagesize()) }

// readProcess reads /proc/PID.
func readProcess(pid int) (*processInfo, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, err
	}
	p, err := parseStat(pid, string(stat))
	if err != nil {
		return nil, err
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(ids); len(f) > 1 {
				p.uid, _ = strconv.Atoi(f[1])
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.args = strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
	}
	if p.args == "" {
		p.args = "[" + p.comm + "]"
	}
	return p, nil
}

// parseStat reads the line of /proc/PID/stat: the name stands in parentheses and may hold anything.
func parseStat(pid int, s string) (*processInfo, error) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return nil, fmt.Errorf("the line of process %d is none", pid)
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 22 {
		return nil, fmt.Errorf("the line of process %d is too short", pid)
	}
	number := func(i int) uint64 { // field i of proc_pid_stat(5), negative ones as 0
		n, _ := strconv.ParseUint(f[i-3], 10, 64)
		return n
	}
	nice, _ := strconv.Atoi(f[19-3])
	return &processInfo{
		pid: pid, comm: s[open+1 : end], state: f[0], ppid: int(number(4)), group: int(number(5)), session: int(number(6)), tty: int(number(7)),
		utime: number(14), stime: number(15), nice: nice, threads: int(number(20)), start: number(22), vsize: number(23), resident: number(24),
	}, nil
}
