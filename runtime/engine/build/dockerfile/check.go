// Package dockerfile looks at the text of a Dockerfile without building it: BuildKit's parser and linter, in process. It
// reaches no network and bounds what a hostile text may cost.
package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// Limits of one check.
const (
	MaxText     = 1 << 20         // bytes of a Dockerfile
	timeout     = 5 * time.Second // of a check
	concurrent  = 2               // checks at a time, those included that did not end in time
	maxWarnings = 500             // told; an editor shows no more
)

// Check is what a look at a Dockerfile found.
type Check struct {
	Warnings []Warning `json:"warnings"`
	Error    *Error    `json:"error"`
	Stages   []Stage   `json:"stages"`
	Args     []Arg     `json:"args"`
}

// Warning is what a rule of the linter says. Lines count from 1; 0: it is about none.
type Warning struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Detail  string `json:"detail"`
	URL     string `json:"url"`
	Line    int    `json:"line"`
	EndLine int    `json:"end_line"`
}

// Error is why a Dockerfile cannot be built.
type Error struct {
	Message string `json:"message"`
	Line    int    `json:"line"`
	EndLine int    `json:"end_line"`
}

// Stage is a FROM and what belongs to it, up to the next.
type Stage struct {
	Name    string `json:"name"`
	Base    string `json:"base"`
	Line    int    `json:"line"`
	EndLine int    `json:"end_line"`
}

// Arg is a build argument that a Dockerfile declares.
type Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"` // its default, with other arguments put in where that is known
	Line  int    `json:"line"`
}

// Images knows the images of the session.
type Images interface {
	// ImageConfig returns the config of an image, as JSON. The error is errdefs.ErrNotFound where the session lacks it.
	ImageConfig(ctx context.Context, reference string) ([]byte, error)
}

// Checker checks Dockerfiles.
type Checker struct {
	images Images
	slots  chan struct{}
}

// NewChecker returns a Checker. Without images every base image is unknown.
func NewChecker(images Images) *Checker {
	return &Checker{images: images, slots: make(chan struct{}, concurrent)}
}

// Check looks at a Dockerfile. What is wrong with the text is in the Check; errors are errdefs.ErrResourceExhausted when too
// many are being checked, errdefs.ErrInvalidArgument for a text that is too long or takes too long, and the context's.
func (c *Checker) Check(ctx context.Context, text []byte) (*Check, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("a Dockerfile has at most %d KiB: %w", MaxText>>10, errdefs.ErrInvalidArgument)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("other Dockerfiles are being checked: try again: %w", errdefs.ErrResourceExhausted)
	}
	done := make(chan *Check, 1)
	go func() { // the linter cannot be interrupted: who asked need not wait for it, but its slot does
		defer func() { <-c.slots }()
		done <- c.guarded(ctx, text)
	}()
	select {
	case found := <-done:
		return found, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("this Dockerfile takes more than %s to check: %w", timeout, errdefs.ErrInvalidArgument)
		}
		return nil, context.Cause(ctx)
	}
}

// guarded makes a fault of the parser an error of this text.
func (c *Checker) guarded(ctx context.Context, text []byte) (found *Check) {
	defer func() {
		if v := recover(); v != nil {
			found = empty()
			found.Error = &Error{Message: fmt.Sprintf("the parser of Dockerfiles failed: %v", v)}
		}
	}()
	return c.look(ctx, text)
}

func empty() *Check { return &Check{Warnings: []Warning{}, Stages: []Stage{}, Args: []Arg{}} }
