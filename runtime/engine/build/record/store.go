package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// maxBuilds is how many builds are remembered, those that run not counted.
const maxBuilds = 100

// Names of the files of a build.
const (
	wholeFile  = "build.json"
	eventsFile = "events"
)

// idPattern is what BuildKit's clients make, and what can be a name of a directory.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Store is the builds of a session. It is safe for concurrent use.
type Store struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex
	builds map[string]*Build
	order  []*Build // oldest first
	forgot func(id string)
}

// Open reads what is remembered of earlier builds. One that had not ended is over: its sandbox was.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, log: log, builds: map[string]*Build{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := s.read(e.Name()); err != nil {
			log.Warn("a build cannot be remembered", "build", e.Name(), "error", err)
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(s.order, func(a, b *Build) int { return a.whole.StartedAt.Compare(b.whole.StartedAt) })
	return s, nil
}

func (s *Store) read(id string) error {
	dir := filepath.Join(s.dir, id)
	w, err := readWhole(dir)
	if err != nil {
		return err
	}
	if w.ID != id {
		return fmt.Errorf("it says that it is %q", w.ID)
	}
	b := &Build{store: s, dir: dir, whole: w, journal: oldJournal(filepath.Join(dir, eventsFile)), kept: true}
	if w.State == Running {
		b.whole.State, b.whole.EndedAt = Failed, &w.StartedAt
		b.whole.Error = &Error{Message: "The machine of this build ended before it did."}
	}
	b.whole.Steps, b.whole.Text = nil, ""
	s.builds[id], s.order = b, append(s.order, b)
	return nil
}

func readWhole(dir string) (Whole, error) {
	var w Whole
	body, err := os.ReadFile(filepath.Join(dir, wholeFile))
	if err == nil {
		err = json.Unmarshal(body, &w)
	}
	w.normal()
	return w, err
}

// keep writes what is known of a build, into a new file that then takes the place of the old.
func (s *Store) keep(b *Build) error {
	body, err := json.Marshal(b.all())
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, wholeFile)
	if err = os.WriteFile(path+".new", body, 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil { // of a full disk: it stays in memory
		s.log.Warn("a build cannot be kept", "build", b.ID(), "error", err)
		_ = os.Remove(path + ".new")
	}
	return err
}

// Begin makes the record of a build that begins. The error is errdefs.ErrAlreadyExists for an ID that has one, and
// errdefs.ErrInvalidArgument for one that is none.
func (s *Store) Begin(about About) (*Build, error) {
	if !idPattern.MatchString(about.ID) {
		return nil, fmt.Errorf("%.80q is not the ID of a build: %w", about.ID, errdefs.ErrInvalidArgument)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.builds[about.ID] != nil {
		return nil, fmt.Errorf("build %s: %w", about.ID, errdefs.ErrAlreadyExists)
	}
	b := &Build{store: s, dir: filepath.Join(s.dir, about.ID), index: map[string]*track{}}
	b.whole.About, b.whole.State, b.whole.StartedAt = about, Running, time.Now().UTC()
	b.whole.normal()
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("remember a build: %w", err)
	}
	var err error
	if b.journal, err = newJournal(filepath.Join(b.dir, eventsFile)); err != nil {
		return nil, errors.Join(fmt.Errorf("remember a build: %w", err), os.RemoveAll(b.dir))
	}
	_ = s.keep(b) // told; the record goes on in memory
	b.tellBuild()
	s.builds[about.ID], s.order = b, append(s.order, b)
	s.forgetOldest()
	return b, nil
}

// forgetOldest keeps to the limit. The caller holds mu.
func (s *Store) forgetOldest() {
	for i := 0; i < len(s.order) && len(s.order) > maxBuilds; {
		if b := s.order[i]; b.Running() {
			i++
		} else if err := s.remove(b); err != nil {
			s.log.Warn("forget a build", "build", b.ID(), "error", err)
			return
		}
	}
}

// remove forgets a build. The caller holds mu.
func (s *Store) remove(b *Build) error {
	delete(s.builds, b.ID())
	s.order = slices.DeleteFunc(s.order, func(o *Build) bool { return o == b })
	b.journal.close()
	if s.forgot != nil {
		s.forgot(b.ID())
	}
	return os.RemoveAll(b.dir)
}

// Forgot says whom to tell of builds that are forgotten. It must not call the Store.
func (s *Store) Forgot(tell func(id string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot = tell
}

// Get finds a build. The error is errdefs.ErrNotFound.
func (s *Store) Get(id string) (*Build, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.builds[id]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("no build %.80q in this session: %w", id, errdefs.ErrNotFound)
}

// List describes all builds, newest first.
func (s *Store) List() []Summary {
	s.mu.Lock()
	all := slices.Clone(s.order)
	s.mu.Unlock()
	list := make([]Summary, 0, len(all))
	for _, b := range slices.Backward(all) {
		list = append(list, b.Summary())
	}
	return list
}

// Forget removes a build that has ended. Errors are errdefs.ErrNotFound, and errdefs.ErrConflict for one that runs.
func (s *Store) Forget(id string) error {
	b, err := s.Get(id)
	if err != nil {
		return err
	}
	if b.Running() {
		return conflict("the build is running: cancel it first")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(b)
}

// Discard removes the record of what turned out to be no build.
func (s *Store) Discard(b *Build) {
	b.End(Outcome{State: Cancelled})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.remove(b); err != nil {
		s.log.Warn("forget a build", "build", b.ID(), "error", err)
	}
}

// Close ends what still runs: the sandbox does.
func (s *Store) Close() {
	s.mu.Lock()
	all := slices.Clone(s.order)
	s.mu.Unlock()
	for _, b := range all {
		b.End(Outcome{State: Cancelled, Error: &Error{Message: "The session ended."}})
	}
}

func conflict(message string) error { return fmt.Errorf("%s: %w", message, errdefs.ErrConflict) }
