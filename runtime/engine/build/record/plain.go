package record

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Plain writes the log as `docker build --progress=plain` prints it: up to now, of a build that runs.
func (b *Build) Plain(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	p := &plain{w: out, steps: map[string]*printed{}}
	if err := b.journal.follow(ctx, 0, false, p.event); err != nil {
		return err
	}
	return out.Flush()
}

// worthTelling is by how many milliseconds a step's time must have grown to be printed once more.
const worthTelling = 100

type plain struct {
	w       *bufio.Writer
	steps   map[string]*printed
	current *printed
	n       int
}

// printed is a step as far as it is printed.
type printed struct {
	Step
	number  int
	open    bool  // its last line has no end yet
	over    bool  // its outcome is printed
	told    int64 // with this duration, in milliseconds
	started time.Time
	doing   map[string]bool // what of its progress is printed
}

func (p *plain) event(e Event) error {
	switch e.Kind {
	case KindStep:
		var s Step
		if err := json.Unmarshal(e.Data, &s); err != nil {
			return err
		}
		p.step(s)
	case KindLog:
		var l Log
		if err := json.Unmarshal(e.Data, &l); err != nil {
			return err
		}
		if s := p.steps[l.Step]; s != nil {
			p.output(s, l)
		}
	case KindBuild:
		var s Summary
		if err := json.Unmarshal(e.Data, &s); err != nil {
			return err
		}
		if s.Error != nil {
			p.leave(nil)
			fmt.Fprintf(p.w, "ERROR: %s\n", s.Error.Message)
		}
	}
	return nil
}

func (p *plain) step(s Step) {
	known := p.steps[s.ID]
	if known == nil {
		known = &printed{doing: map[string]bool{}}
		p.steps[s.ID] = known
	}
	known.Step = s
	if s.StartedAt == nil {
		return
	}
	if !known.over {
		p.enter(known)
	}
	for _, d := range s.Progress {
		if !known.doing[d.Name] && (d.Total == 0 || d.Current >= d.Total) {
			p.enter(known)
			known.doing[d.Name], known.over = true, false
			fmt.Fprintf(p.w, "#%d %s%s\n", known.number, d.Name, amount(d))
		}
	}
	if known.over && s.DurationMS-known.told < worthTelling {
		return // BuildKit ends a step more than once: when it has looked it up, and when it has run
	}
	switch s.State {
	case Cached:
		p.outcome(known, "CACHED")
	case Succeeded:
		p.outcome(known, fmt.Sprintf("DONE %.1fs", float64(s.DurationMS)/1000))
	case Failed:
		p.outcome(known, "ERROR: "+s.Error)
	case Cancelled:
		p.outcome(known, "CANCELED")
	default:
	}
}

func amount(d Progress) string {
	if d.Total == 0 {
		return ""
	}
	return fmt.Sprintf(" %d / %d bytes", d.Current, d.Total)
}

func (p *plain) outcome(s *printed, text string) {
	p.enter(s)
	s.over, s.told = true, s.DurationMS
	p.endLine(s)
	fmt.Fprintf(p.w, "#%d %s\n", s.number, text)
}

// enter makes a step the one whose lines follow.
func (p *plain) enter(s *printed) {
	if p.current == s {
		return
	}
	p.leave(s)
	if s.number == 0 {
		p.n++
		s.number, s.started = p.n, *s.StartedAt
	}
	fmt.Fprintf(p.w, "#%d %s\n", s.number, s.Name)
}

func (p *plain) leave(next *printed) {
	if p.current != nil {
		p.endLine(p.current)
		if !p.current.over {
			fmt.Fprintf(p.w, "#%d ...\n", p.current.number)
		}
		fmt.Fprintln(p.w)
	}
	p.current = next
}

func (p *plain) endLine(s *printed) {
	if s.open {
		fmt.Fprintln(p.w)
		s.open = false
	}
}

// output prints lines with the time since the step began before each.
func (p *plain) output(s *printed, l Log) {
	if s.StartedAt == nil {
		started := l.Time
		s.StartedAt = &started
	}
	p.enter(s)
	s.over = false
	since := max(0, l.Time.Sub(s.started).Seconds())
	for line := range strings.Lines(l.Text) {
		if !s.open {
			fmt.Fprintf(p.w, "#%d %.3f ", s.number, since)
		}
		_, _ = p.w.WriteString(line) // a bufio.Writer keeps its error for Flush
		s.open = !strings.HasSuffix(line, "\n")
	}
}
