package cgroup

import (
	"strings"
)

// For tests.
var (
	ParseCPUs  = parseCPUs
	FormatCPUs = formatCPUs
	ReadKey    = readKey
	ParseOwn   = parseOwn
)

// Tally is what a Group remembers of counters.
type Tally struct{ tally }

// Sum is tally.sum.
func (t *Tally) Sum(file string, now map[string]int64) int64 { return t.sum(file, now) }

// Remembered is how many values are held.
func (t *Tally) Remembered() int {
	n := len(t.gone)
	for _, m := range t.last {
		n += len(m)
	}
	return n
}

// Placed is where the group own is seen on each of the hierarchies that mountinfo lists, by mount point.
func Placed(mountinfo, root, own string) (map[string]string, error) {
	mounts, err := parseMounts(strings.NewReader(mountinfo), root)
	dirs := map[string]string{}
	for _, m := range mounts {
		dirs[m.point] = m.dir(own)
	}
	return dirs, err
}
