package record

import (
	"fmt"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
)

// Plan notes steps before they run, and the lines that they come from.
func (b *Build) Plan(steps []Planned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended() {
		return
	}
	for _, p := range steps {
		t := b.step(p.ID)
		if t.Name == "" {
			t.describe(p.Name)
		}
		if len(t.Inputs) == 0 {
			t.Inputs = append([]string{}, p.Inputs...)
		}
		if t.Line == 0 && p.Line != 0 {
			t.Line, t.EndLine = p.Line, p.EndLine
		}
		t.dirty = true
	}
	b.tell(time.Now(), true)
}

// Size notes how much a step put on its base, in bytes.
func (b *Build) Size(step string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.index[step]
	if t == nil || b.ended() || t.Size != nil && *t.Size == bytes {
		return
	}
	t.Size, t.dirty = &bytes, true
	b.tell(time.Now(), true)
}

// Status takes BuildKit's messages.
func (b *Build) Status(s *client.SolveStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended() {
		return
	}
	now := time.Now()
	urgent := false
	for _, v := range s.Vertexes {
		urgent = b.vertex(v) || urgent
	}
	for _, p := range s.Statuses {
		b.progress(p)
	}
	b.tell(now, urgent) // a step is told before its output
	for _, l := range merged(s.Logs) {
		b.log(l)
	}
	for _, w := range s.Warnings {
		b.warn(w)
	}
}

func (b *Build) ended() bool { return b.whole.State != Running }

// step finds a step, or begins one.
func (b *Build) step(id string) *track {
	t := b.index[id]
	if t == nil {
		t = &track{Step: Step{ID: id, State: Waiting, Inputs: []string{}, Progress: []Progress{}}}
		b.index[id] = t
		b.order = append(b.order, t)
	}
	return t
}

// vertex follows a step, and reports whether its state has changed. BuildKit starts and completes a step more than once:
// it looks for it in the cache, and then runs it.
func (b *Build) vertex(v *client.Vertex) bool {
	t := b.step(string(v.Digest))
	was := t.State
	if v.Name != "" && v.Name != t.Name {
		t.describe(v.Name)
	}
	if len(v.Inputs) > 0 {
		t.Inputs = t.Inputs[:0]
		for _, in := range v.Inputs {
			t.Inputs = append(t.Inputs, string(in))
		}
	}
	t.dirty = true
	if v.Started != nil {
		if t.StartedAt == nil {
			t.StartedAt = v.Started
		}
		if t.started == nil {
			t.started = v.Started
		}
		t.State, t.EndedAt = Running, nil
	}
	if v.Completed != nil {
		t.completed(v)
	}
	return t.State != was
}

func (t *track) completed(v *client.Vertex) {
	t.EndedAt = v.Completed
	if t.started != nil {
		t.DurationMS += max(0, v.Completed.Sub(*t.started).Milliseconds())
		t.started = nil
	}
	switch {
	case strings.Contains(v.Error, "context canceled"):
		t.State = Cancelled
	case v.Error != "":
		t.State, t.Error = Failed, bounded(v.Error)
	case v.Cached:
		t.State = Cached
	default:
		t.State = Succeeded
	}
}

// progress follows the things that a step does.
func (b *Build) progress(p *client.VertexStatus) {
	t := b.step(string(p.Vertex))
	name := p.Name
	if name == "" {
		name = p.ID
	}
	at := -1
	for i, id := range t.ids {
		if id == p.ID {
			at = i
		}
	}
	if at < 0 {
		if len(t.ids) == maxProgress {
			return
		}
		at = len(t.ids)
		t.ids, t.Progress = append(t.ids, p.ID), append(t.Progress, Progress{})
	}
	if next := (Progress{Name: label(p.ID, name), Current: p.Current, Total: p.Total}); t.Progress[at] != next {
		t.Progress[at], t.dirty = next, true
	}
}

// label says what is done to what: "extracting sha256:1234…".
func label(id, name string) string {
	if id == name || strings.Contains(id, name) {
		return id
	}
	return name + " " + id
}

// tell makes events of what has changed: of states at once, of mere progress not too often.
func (b *Build) tell(now time.Time, urgent bool) {
	for _, t := range b.order {
		if !t.dirty {
			continue
		}
		if !urgent {
			if now.Sub(t.told) < progressGap || t.tells >= maxTells {
				continue
			}
			t.tells++
		}
		t.told, t.dirty = now, false
		b.journal.append(KindStep, t.Step, false)
	}
	if totals := b.totals(); totals != b.whole.Totals {
		b.whole.Totals = totals
		b.tellBuild()
	}
}

func (b *Build) totals() (n Totals) {
	for _, t := range b.order {
		if !t.numbered {
			continue
		}
		n.Steps++
		switch t.State {
		case Cached:
			n.Cached++
			n.Done++
		case Succeeded:
			n.Done++
		default:
		}
	}
	return n
}

func (b *Build) warn(w *client.VertexWarning) {
	if len(b.whole.Warnings) == maxWarnings {
		return
	}
	out := Warning{Message: string(w.Short), URL: w.URL}
	for _, d := range w.Detail {
		out.Detail += string(d)
	}
	// The frontend has one line for all of it: "RULE: message (line N)".
	if rule, rest, ok := strings.Cut(out.Message, ": "); ok && !strings.Contains(rule, " ") {
		out.Rule, out.Message = rule, rest
	}
	for _, r := range w.Range {
		start, end := int(r.GetStart().GetLine()), int(r.GetEnd().GetLine())
		if out.Line == 0 || start < out.Line {
			out.Line = start
		}
		out.EndLine = max(out.EndLine, end, start)
	}
	out.Message = strings.TrimSuffix(out.Message, fmt.Sprintf(" (line %d)", out.Line))
	for _, had := range b.whole.Warnings {
		if had == out { // one for each platform
			return
		}
	}
	b.whole.Warnings = append(b.whole.Warnings, out)
	b.journal.append(KindWarning, out, false)
}

func bounded(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	return s[:maxErrorText] + "…"
}
