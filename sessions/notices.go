package sessions

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"berth/quotas"
)

const (
	noticeEvery = 10 * time.Second // between two notices of a kind
	egressEvery = time.Minute
	nearlyFull  = 0.02 // of the disk left: notice is given
	roomAgain   = 0.05 // of the disk left: notice may be given anew; pages take theirs away (static/src/notices.js)
)

// noticer compares readings of usage and says which limits were met since the last notice of the kind.
type noticer struct {
	limits quotas.Limits
	told   quotas.Usage // counters as of the last notice of each kind
	at     map[string]time.Time
	full   map[string]bool // disk, inodes: told, and not freed since
}

// begin takes counters as told already.
func (n *noticer) begin(u quotas.Usage) { n.told = u }

// look returns what is to be told of a reading made at a (monotonic) time.
func (n *noticer) look(u quotas.Usage, now time.Time) []Notice {
	var list []Notice
	add := func(kind, format string, args ...any) {
		list = append(list, Notice{Kind: kind, Message: fmt.Sprintf(format, args...)})
	}
	if d := u.OOMKills - n.told.OOMKills; d > 0 && n.due("memory", now, noticeEvery) {
		n.told.OOMKills = u.OOMKills
		add("memory", "memory: the limit of %s was reached and %s ended. Run less at a time, or with smaller inputs.",
			sizeInWords(n.limits.MemoryBytes), victims(d, u.OOMVictim))
	}
	if u.PIDsRefused > n.told.PIDsRefused {
		// What was refused right after a notice is told with it: later the processes may have been ended, and the notice
		// would offer to end all of others.
		n.told.PIDsRefused = u.PIDsRefused
		if n.due("pids", now, noticeEvery) {
			add("pids", "processes: the limit of %d was reached and new ones are refused. End some, or all of them.", n.limits.PIDs)
		}
	}
	if n.short("disk", u.DiskFree, n.limits.DiskBytes, now) {
		add("disk", "disk: %s of %s are left. Delete files that you do not need.", sizeInWords(max(u.DiskFree, 0)), sizeInWords(n.limits.DiskBytes))
	}
	if n.short("inodes", u.InodesFree, n.limits.DiskInodes, now) {
		add("inodes", "disk: %d of %d files are left. Delete files that you do not need.", max(u.InodesFree, 0), n.limits.DiskInodes)
	}
	if d := u.EgressDenied - n.told.EgressDenied; d > 0 && n.due("egress", now, egressEvery) {
		n.told.EgressDenied = u.EgressDenied
		add("egress", "network: %d packets to addresses or ports that are not allowed here were dropped. Use public addresses and the allowed ports.", d)
	}
	return list
}

// due reports whether a notice of a kind may be given now, and counts it as given.
func (n *noticer) due(kind string, now time.Time, every time.Duration) bool {
	if last, ok := n.at[kind]; ok && now.Sub(last) < every {
		return false
	}
	if n.at == nil {
		n.at = make(map[string]time.Time)
	}
	n.at[kind] = now
	return true
}

// short reports whether what is left has become too little.
func (n *noticer) short(kind string, left, limit int64, now time.Time) bool {
	switch part := float64(left) / float64(limit); {
	case part > roomAgain:
		delete(n.full, kind)
	case part <= nearlyFull && !n.full[kind] && n.due(kind, now, noticeEvery):
		if n.full == nil {
			n.full = make(map[string]bool)
		}
		n.full[kind] = true
		return true
	}
	return false
}

func victims(n int64, name string) string {
	switch {
	case n == 1 && name != "":
		return "`" + name + "` was"
	case n == 1:
		return "a process was"
	case name != "":
		return fmt.Sprintf("%d processes were (the last: `%s`)", n, name)
	default:
		return fmt.Sprintf("%d processes were", n)
	}
}

// sizeInWords writes bytes in the unit in which they are round: 512 MiB, 4.0 GB.
func sizeInWords(n int64) string {
	if n > 0 && n%(1<<20) == 0 {
		return humanize.IBytes(uint64(n)) // not negative
	}
	return humanize.Bytes(uint64(max(n, 0))) // not negative
}
