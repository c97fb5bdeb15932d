package terminal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// Errors of a Set.
var (
	ErrName     = errors.New("a terminal's name is 1 to 32 of A-Z a-z 0-9 _ . -")
	ErrTooMany  = errors.New("too many terminals: end one first")
	ErrNotFound = errors.New("no such terminal")
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// Set is the named terminals of one sandbox.
type Set struct {
	start     Start
	options   Options
	transport *transport
	ctx       context.Context //nolint:containedctx // the life of the terminals, which outlive the requests that open them
	cancel    context.CancelFunc

	mu        sync.Mutex
	closed    bool
	terminals map[string]*Terminal
	living    map[*Terminal]struct{} // these, and those that were deleted and have not ended yet
}

// NewSet returns a set without terminals. When ctx ends, they all end; Close waits for that.
func NewSet(ctx context.Context, start Start, o Options) *Set {
	ctx, cancel := context.WithCancel(ctx)
	return &Set{
		start: start, options: o.withDefaults(), transport: newTransport(), ctx: ctx, cancel: cancel,
		terminals: make(map[string]*Terminal), living: make(map[*Terminal]struct{}),
	}
}

// Open returns the terminal with this name; where there is none it starts one of this size (the zero Size: DefaultSize)
// and waits until its program runs. Errors wrap ErrName, ErrSize, ErrTooMany, ErrClosed, or what Start returned.
func (s *Set) Open(ctx context.Context, name string, size Size) (*Terminal, error) {
	return s.OpenWith(ctx, name, size, s.start)
}

// OpenWith is Open, with a program of its own where there is no such terminal.
func (s *Set) OpenWith(ctx context.Context, name string, size Size, start Start) (*Terminal, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("%w: not %.40q", ErrName, name)
	}
	if size == (Size{}) {
		size = DefaultSize
	}
	if err := size.Validate(); err != nil {
		return nil, err
	}
	t, err := s.find(name, size, start)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.settled:
	case <-ctx.Done():
		return nil, fmt.Errorf("open terminal %s: %w", name, context.Cause(ctx))
	}
	if t.startErr != nil {
		_ = t.wait(ctx) // so that the next attempt starts anew
		return nil, t.startErr
	}
	return t, nil
}

// find returns the terminal or begins one.
func (s *Set) find(name string, size Size, start Start) (*Terminal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.terminals[name]; t != nil {
		return t, nil
	}
	switch {
	case s.closed || s.ctx.Err() != nil:
		return nil, ErrClosed
	case len(s.living) >= s.options.MaxTerminals:
		return nil, fmt.Errorf("%w (at most %d)", ErrTooMany, s.options.MaxTerminals)
	}
	t := open(s.ctx, name, size, start, s.options, s.ended)
	s.terminals[name], s.living[t] = t, struct{}{}
	return t, nil
}

// ended forgets a terminal of which nothing is left.
func (s *Set) ended(t *Terminal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.living, t)
	if s.terminals[t.name] == t {
		delete(s.terminals, t.name)
	}
}

// List describes the terminals, sorted by name such that 2 is before 10.
func (s *Set) List() []Info {
	s.mu.Lock()
	list := slices.Collect(maps.Values(s.terminals))
	s.mu.Unlock()
	infos := make([]Info, len(list))
	for i, t := range list {
		infos[i] = t.Info()
	}
	slices.SortFunc(infos, func(a, b Info) int {
		if len(a.Name) != len(b.Name) {
			return len(a.Name) - len(b.Name)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return infos
}

// Delete ends a terminal's program and forgets the terminal. The error is ErrNotFound, or ctx's while the program does
// not end; the terminal is ending then and counts until it has.
func (s *Set) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	t := s.terminals[name]
	if t == nil {
		s.mu.Unlock()
		return ErrNotFound
	}
	delete(s.terminals, name)
	s.mu.Unlock()
	if err := t.close(ctx, websocket.CloseError{Code: CloseDeleted, Text: "the terminal was deleted"}); err != nil {
		return fmt.Errorf("end terminal %s: %w", name, err)
	}
	return nil
}

// Close ends all terminals and waits, as long as ctx allows, until nothing of them is left. No new one can be opened.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := slices.Collect(maps.Keys(s.living))
	clear(s.terminals)
	s.mu.Unlock()
	s.cancel()
	var errs []error
	for _, t := range all {
		if err := t.wait(ctx); err != nil {
			errs = append(errs, fmt.Errorf("end terminal %s: %w", t.name, err))
		}
	}
	return errors.Join(errs...)
}
