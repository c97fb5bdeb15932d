package record

import (
	"slices"
	"time"
)

// Outcome is how a build ended.
type Outcome struct {
	State     State
	Image     string // ID
	ImageSize int64  // bytes
	Error     *Error // of one that failed
}

// End is the last that is heard of a build.
func (b *Build) End(o Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended() {
		return
	}
	now := time.Now().UTC()
	for _, t := range b.order {
		b.settle(t, o.State, now)
	}
	b.tell(now, true)
	w := &b.whole
	w.State, w.EndedAt, w.Image, w.ImageSize, w.Error = o.State, &now, o.Image, o.ImageSize, o.Error
	if o.Error != nil {
		w.Error.Message = bounded(o.Error.Message)
		b.place(w.Error)
	}
	b.tellBuild()
	b.journal.append(KindEnd, struct{}{}, false)
	b.cancel = nil
	b.rest()
}

// settle ends a step with its build.
func (b *Build) settle(t *track, outcome State, now time.Time) {
	switch {
	case t.State == Running && outcome == Succeeded:
		t.State, t.EndedAt = Succeeded, &now
	case t.State == Running:
		t.State, t.EndedAt = Cancelled, &now
	case t.State == Waiting && outcome == Succeeded:
		t.State = Cached // its result was not asked for: those built on it were in the cache
	case t.State == Waiting:
		t.State = Cancelled
	default:
		return
	}
	if t.started != nil {
		t.DurationMS += max(0, now.Sub(*t.started).Milliseconds())
		t.started = nil
	}
	t.dirty = true
}

// place finds the step and the lines of an error, the one by the other.
func (b *Build) place(e *Error) {
	if e.Step == "" {
		if i := slices.IndexFunc(b.order, func(t *track) bool { return t.State == Failed }); i >= 0 {
			e.Step = b.order[i].ID
		}
	}
	if t := b.index[e.Step]; t != nil && e.Line == 0 {
		e.Line, e.EndLine = t.Line, t.EndLine
	}
}
