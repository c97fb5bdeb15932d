package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	what  string
	ours  string
	peer  string // what it is compared with, and its figure; empty: with an absolute goal
	ratio float64
	goal  string // as it is written: "≤ 1×"
	met   bool
	count int // samples of each side
}

type report struct {
	out   io.Writer
	rows  []row
	notes []string
}

func (r *report) add(x row) {
	note("%s: %s %s", x.what, x.ours, x.peer)
	r.rows = append(r.rows, x)
}

// compare adds a row about times that are to be at most limit times the peer's.
func (r *report) compare(what string, ours samples, peer string, theirs samples, limit float64, goal string) {
	ratio := float64(ours.median()) / float64(theirs.median())
	r.add(row{
		what: what, ours: spread(ours), peer: peer + " " + spread(theirs), ratio: ratio, goal: goal, met: ratio <= limit, count: len(ours),
	})
}

// remark is printed below the table.
func (r *report) remark(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) missed() int {
	n := 0
	for _, x := range r.rows {
		if !x.met {
			n++
		}
	}
	return n
}

func (r *report) print() {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "what\tn\tBerth (median/p99)\tpeer (median/p99)\tratio\tgoal\tmet")
	for _, x := range r.rows {
		ratio, met := "", "yes"
		if x.ratio > 0 {
			ratio = fmt.Sprintf("%.2f×", x.ratio)
		}
		if !x.met {
			met = "NO"
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", x.what, x.count, x.ours, x.peer, ratio, x.goal, met)
	}
	_ = w.Flush()
	for _, n := range r.notes {
		_, _ = fmt.Fprintln(r.out, n)
	}
	_, _ = fmt.Fprintf(r.out, "%d of %d goals met\n", len(r.rows)-r.missed(), len(r.rows))
}

func spread(s samples) string { return millis(s.median()) + "/" + millis(s.p99()) + " ms" }

func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}
