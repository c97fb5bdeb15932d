package record

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Build is the record of one build. It is safe for concurrent use.
type Build struct {
	store   *Store
	dir     string
	journal *journal

	mu        sync.Mutex
	whole     Whole             // Steps: only while it runs; later they are on disk
	index     map[string]*track // by step ID
	order     []*track
	logged    int  // bytes of log kept
	cut       bool // the log is longer than that
	cancel    context.CancelCauseFunc
	cancelled bool
	kept      bool // build.json says how it ended
}

// track is a step and what its events depend on.
type track struct {
	Step
	started  *time.Time // of the work that goes on
	told     time.Time  // when its last event was
	tells    int        // events about its progress
	dirty    bool       // it differs from its last event
	ids      []string   // of its progress
	numbered bool       // it is an instruction of a Dockerfile
	partials [3][]byte  // ends of characters that were cut in the middle, by stream
}

// Limits of what a record keeps.
const (
	MaxLog       = 8 << 20                // bytes of the log of a build
	maxWarnings  = 500                    // of a build
	maxProgress  = 64                     // things that a step does, told
	progressGap  = 250 * time.Millisecond // between two events that only tell progress
	maxTells     = 400                    // events that only tell progress, of a step
	maxErrorText = 16 << 10               // bytes of a message
)

// ErrCancelled is the cause of a build's end when a visitor cancels it.
var ErrCancelled = errdefs.ErrAborted

// ID is the build's name.
func (b *Build) ID() string { return b.whole.ID }

// Summary describes the build without its steps.
func (b *Build) Summary() Summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.summary()
}

func (b *Build) summary() Summary {
	s := b.whole.Summary
	s.Warnings = slices.Clone(s.Warnings)
	return s
}

// Whole describes all of the build.
func (b *Build) Whole() (Whole, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended() && !b.kept {
		b.rest()
	}
	if !b.kept || b.index != nil {
		return b.all(), nil
	}
	w, err := readWhole(b.dir)
	w.Summary = b.summary()
	return w, err
}

// rest leaves a build that has ended to the disk, if that has room.
func (b *Build) rest() {
	if b.store.keep(b) == nil {
		b.kept, b.index, b.order, b.whole.Steps, b.whole.Text = true, nil, nil, nil, ""
	}
}

func (b *Build) all() Whole {
	w := b.whole
	w.Summary = b.summary()
	w.Steps = make([]Step, len(b.order))
	for i, t := range b.order {
		w.Steps[i] = t.copy()
	}
	return w
}

func (t *track) copy() Step {
	s := t.Step
	s.Progress = slices.Clone(s.Progress)
	return s
}

// Empty reports whether no step of the build has been heard of.
func (b *Build) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.order) == 0
}

// Running reports whether the build has not ended.
func (b *Build) Running() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole.State == Running
}

// Cancellable says how the build is ended before its time.
func (b *Build) Cancellable(cancel context.CancelCauseFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel = cancel
	if b.cancelled {
		cancel(ErrCancelled)
	}
}

// Cancel ends the build, soon. The error is errdefs.ErrConflict when it has ended.
func (b *Build) Cancel() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole.State != Running {
		return conflict("the build has ended")
	}
	b.cancelled = true
	if b.cancel != nil {
		b.cancel(ErrCancelled)
	}
	return nil
}

// Text notes the Dockerfile.
func (b *Build) Text(text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole.Text = string(text)
}

// Describe completes what the build was asked to do, where it was not known when it began.
func (b *Build) Describe(change func(*About)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.whole.About)
	b.whole.normal()
	b.tellBuild()
}

func (w *Whole) normal() {
	if w.Tags == nil {
		w.Tags = []string{}
	}
	if w.Args == nil {
		w.Args = map[string]string{}
	}
	if w.Warnings == nil {
		w.Warnings = []Warning{}
	}
	if w.Steps == nil {
		w.Steps = []Step{}
	}
}

func (b *Build) tellBuild() { b.journal.append(KindBuild, b.whole.Summary, false) }

// Follow calls tell with every event behind that number, from 1, and with those to come, until the last. It ends early
// with ctx, or with the error of tell.
func (b *Build) Follow(ctx context.Context, after int, tell func(Event) error) error {
	return b.journal.follow(ctx, after, true, tell)
}
