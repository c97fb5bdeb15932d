package container

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"
)

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

func newTopView(rootfs string) *topView {
	t := &topView{users: map[int]string{}, now: time.Now()}
	if f, err := openIn(rootfs, "/etc/passwd"); err == nil {
		users, err := user.ParsePasswd(f)
		_ = f.Close() // read-only
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
