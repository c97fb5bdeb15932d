package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"

	api "github.com/moby/moby/api/types/container"
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

// column is one that -o can ask for.
type column struct {
	title string
	value func(p *processInfo, t *topView) string
}

// topView is what all lines of one list share.
type topView struct {
	users map[int]string
	boot  time.Time
	now   time.Time
	total uint64 // bytes of memory
}

var columns = map[string]column{
	"pid":     {"PID", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.pid) }},
	"ppid":    {"PPID", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.ppid) }},
	"uid":     {"UID", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.uid) }},
	"user":    {"USER", func(p *processInfo, t *topView) string { return t.user(p.uid) }},
	"comm":    {"COMMAND", func(p *processInfo, _ *topView) string { return p.comm }},
	"args":    {"COMMAND", func(p *processInfo, _ *topView) string { return p.args }},
	"tty":     {"TT", func(p *processInfo, _ *topView) string { return ttyName(p.tty) }},
	"time":    {"TIME", func(p *processInfo, _ *topView) string { return clock(p.utime + p.stime) }},
	"etime":   {"ELAPSED", func(p *processInfo, t *topView) string { return elapsed(t.now.Sub(t.began(p))) }},
	"stime":   {"STIME", func(p *processInfo, t *topView) string { return t.began(p).Format("15:04") }},
	"stat":    {"STAT", func(p *processInfo, _ *topView) string { return p.state }},
	"ni":      {"NI", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.nice) }},
	"nlwp":    {"NLWP", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.threads) }},
	"vsz":     {"VSZ", func(p *processInfo, _ *topView) string { return strconv.FormatUint(p.vsize>>10, 10) }},
	"rss":     {"RSS", func(p *processInfo, _ *topView) string { return strconv.FormatUint(p.rss()>>10, 10) }},
	"c":       {"C", func(p *processInfo, t *topView) string { return strconv.Itoa(int(t.cpu(p))) }},
	"pcpu":    {"%CPU", func(p *processInfo, t *topView) string { return fmt.Sprintf("%.1f", t.cpu(p)) }},
	"pmem":    {"%MEM", func(p *processInfo, t *topView) string { return fmt.Sprintf("%.1f", t.memory(p)) }},
	"sid":     {"SID", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.session) }},
	"pgid":    {"PGID", func(p *processInfo, _ *topView) string { return strconv.Itoa(p.group) }},
	"lstart":  {"STARTED", func(p *processInfo, t *topView) string { return t.began(p).Format(time.ANSIC) }},
	"cmd":     {"CMD", func(p *processInfo, _ *topView) string { return p.args }},
	"ucmd":    {"CMD", func(p *processInfo, _ *topView) string { return p.comm }},
	"uidname": {"UID", func(p *processInfo, t *topView) string { return t.user(p.uid) }},
	"TTY":     {"TTY", func(p *processInfo, _ *topView) string { return ttyName(p.tty) }},
}

// aliases are other names of columns.
var aliases = map[string]string{
	"command": "args", "euser": "user", "ruser": "user", "euid": "uid", "s": "stat", "state": "stat", "nice": "ni", "thcount": "nlwp",
	"vsize": "vsz", "rssize": "rss", "%cpu": "pcpu", "%mem": "pmem", "tt": "tty", "tname": "tty", "cputime": "time", "sess": "sid",
	"session": "sid", "pgrp": "pgid", "ucomm": "comm", "start": "stime", "bsdstart": "stime",
}

// formats are the ps options that stand for a list of columns; the first is Docker's default.
var formats = map[string]string{
	"-ef": "uidname,pid,ppid,c,stime,TTY,time,cmd", "aux": "user,pid,%cpu,%mem,vsz,rss,TTY,stat,stime,time,args",
	"-e": "pid,TTY,time,ucmd", "ax": "pid,TTY,stat,time,args",
}

// Top lists the processes of a container as ps(1) would with arguments args: "-ef" where there are none. What is understood are
// the usual options and -o with a list of columns.
func (m *Manager) Top(ref, args string) (api.TopResponse, error) {
	c, err := m.Get(ref)
	if err != nil {
		return api.TopResponse{}, err
	}
	c.mu.Lock()
	r, restarting := c.run, c.rec.State.Restarting
	c.mu.Unlock()
	switch {
	case restarting:
		return api.TopResponse{}, conflict("container %s is restarting, wait until the container is running", c.id)
	case r == nil:
		return api.TopResponse{}, notRunning(c)
	}
	names, err := parsePS(args)
	if err != nil {
		return api.TopResponse{}, err
	}
	pids, err := m.o.Runtime.Cgroups.Processes(r.group)
	if err != nil {
		return api.TopResponse{}, err
	}
	slices.Sort(pids)
	out := api.TopResponse{Processes: [][]string{}}
	for _, n := range names {
		out.Titles = append(out.Titles, columns[n].title)
	}
	view := newTopView(c.rootfs())
	for _, pid := range pids {
		p, err := readProcess(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		line := make([]string, len(names))
		for i, n := range names {
			line[i] = columns[n].value(p, view)
		}
		out.Processes = append(out.Processes, line)
	}
	return out, nil
}

// parsePS reads the options of ps(1) that say which columns are shown.
func parsePS(args string) ([]string, error) {
	words := strings.Fields(args)
	format := formats["-ef"]
	var asked []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		list, isList := strings.CutPrefix(w, "-o")
		if !isList {
			list, isList = strings.CutPrefix(w, "o")
		}
		switch f, known := formats[w]; {
		case known:
			format = f
		case slices.Contains([]string{"-aux", "au", "auxw", "auxww", "-auxww", "u"}, w):
			format = formats["aux"]
		case slices.Contains([]string{"-A", "-a", "-x", "-w", "-ww", "e", "-eo", "-efw"}, w) && w != "-eo":
		case w == "-eo":
			list, isList = "", true
			fallthrough
		case isList:
			if list == "" && i+1 < len(words) {
				i++
				list = words[i]
			}
			asked = append(asked, strings.Split(list, ",")...)
		default:
			return nil, invalid("ps: the option %q is not supported in this playground: -ef, aux and -o are", w)
		}
	}
	if len(asked) == 0 {
		asked = strings.Split(format, ",")
	}
	for i, n := range asked {
		n, _, _ = strings.Cut(n, "=")
		if a, ok := aliases[n]; ok {
			n = a
		}
		if _, ok := columns[n]; !ok {
			return nil, invalid("ps: unknown user-defined format specifier %q", n)
		}
		asked[i] = n
	}
	return asked, nil
}

func newTopView(rootfs string) *topView {
	t := &topView{users: map[int]string{}, now: time.Now()}
	if f, err := openIn(rootfs, "/etc/passwd"); err == nil {
		users, err := user.ParsePasswd(f)
		f.Close()
		for _, u := range users {
			if _, there := t.users[u.Uid]; !there && err == nil {
				t.users[u.Uid] = u.Name
			}
		}
	}
	if b, err := os.ReadFile("/proc/uptime"); err == nil {
		seconds, _, _ := strings.Cut(string(b), " ")
		if up, err := strconv.ParseFloat(seconds, 64); err == nil {
			t.boot = t.now.Add(-time.Duration(up * float64(time.Second)))
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			kib, _ := strconv.ParseUint(f[1], 10, 64)
			t.total = kib << 10
		}
	}
	return t
}

func (t *topView) user(uid int) string {
	if name, ok := t.users[uid]; ok {
		return name
	}
	return strconv.Itoa(uid)
}

func (t *topView) began(p *processInfo) time.Time {
	return t.boot.Add(time.Duration(p.start) * time.Second / ticks)
}

func (t *topView) cpu(p *processInfo) float64 {
	lived := t.now.Sub(t.began(p)).Seconds()
	if lived <= 0 {
		return 0
	}
	return 100 * float64(p.utime+p.stime) / ticks / lived
}

func (t *topView) memory(p *processInfo) float64 {
	if t.total == 0 {
		return 0
	}
	return 100 * float64(p.rss()) / float64(t.total)
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

// ttyName is a terminal by its device number: 136 and on are pseudo-terminals.
func ttyName(device int) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case device == 0:
		return "?"
	case major >= 136 && major <= 143:
		return "pts/" + strconv.Itoa((major-136)<<8+minor)
	case major == 4:
		return "tty" + strconv.Itoa(minor)
	}
	return "?"
}

func clock(t uint64) string {
	s := t / ticks
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func elapsed(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
	case s >= 3600:
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
