// Package volume keeps a Docker host's volumes: Docker's local driver. A volume is DIR/NAME/_data, and what is known about
// it stands beside in DIR/NAME/volume.json.
package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/events"
	"berth/runtime/engine/filter"
)

// Driver is the one driver that there is.
const Driver = "local"

// labelAnonymous marks volumes that nobody named, as Docker does: prune takes only those unless told otherwise.
const labelAnonymous = "com.docker.volume.anonymous"

const (
	dataDir  = "_data"
	metaFile = "volume.json"
	removing = ".removing-" // no name of a volume begins so
)

// Options of a Store.
type Options struct {
	// Shown is the directory in which the workspace has the store's, for people: Mountpoint says so. Empty: the store's own.
	Shown string
	// HostPath turns a path of the workspace into one of this process, for volumes with o=bind. It must not lead out of
	// the workspace. Nil: there are no such volumes.
	HostPath func(path string) (string, error)
	Log      *slog.Logger
}

// Store has the volumes of a Docker host.
type Store struct {
	dir    string
	events *events.Bus
	o      Options

	mu      sync.Mutex // guards the volumes and what is in each, but not their data
	volumes map[string]*entry
}

// entry is one volume.
type entry struct {
	meta meta
	dir  string

	users   map[string]struct{} // IDs of containers that refer to it
	holders map[string]int      // IDs of those that run or are about to → how often Mounted
	mounted bool                // its options' mount is in place

	filling sync.Mutex // held by Populate
}

// meta is what is kept about a volume.
type meta struct {
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// Open reads the volumes in dir, which is made where it is not there. What a removal cut short left behind goes. Containers
// that use volumes say so again by Use.
func Open(dir string, e *events.Bus, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Shown == "" {
		o.Shown = dir
	}
	s := &Store{dir: dir, events: e, o: o, volumes: map[string]*entry{}}
	if err := os.MkdirAll(dir, 0o711); err != nil { // a container's users pass through: 0711, as Docker's
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if err := s.load(n.Name()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// load reads one directory. One without a readable description is a volume without options: its data may be dear.
func (s *Store) load(name string) error {
	path := filepath.Join(s.dir, name)
	if strings.HasPrefix(name, removing) {
		return os.RemoveAll(path)
	}
	if checkName(name) != nil { // not ours, such as lost+found
		return nil //nolint:nilerr // no error of ours either
	}
	m := meta{Name: name}
	b, err := os.ReadFile(filepath.Join(path, metaFile))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(filepath.Join(path, dataDir)); errors.Is(e, fs.ErrNotExist) {
			return os.RemoveAll(path) // its making was cut short
		}
	}
	if err != nil {
		s.o.Log.Warn("volume without description", "volume", name, "error", err)
		m = meta{Name: name, Created: time.Now()}
	}
	m.Name = name
	s.volumes[name] = newEntry(path, m)
	return nil
}

func newEntry(dir string, m meta) *entry {
	return &entry{meta: m, dir: dir, users: map[string]struct{}{}, holders: map[string]int{}}
}

func (e *entry) path() string { return filepath.Join(e.dir, dataDir) }

// info describes a volume as the API does.
func (s *Store) info(e *entry) volume.Volume {
	return volume.Volume{
		Name: e.meta.Name, Driver: Driver, Scope: "local", Mountpoint: filepath.Join(s.o.Shown, e.meta.Name, dataDir),
		Labels: e.meta.Labels, Options: e.meta.Options, CreatedAt: e.meta.Created.Format(time.RFC3339),
	}
}

// find returns a volume. The lock is held by the caller.
func (s *Store) find(name string) (*entry, error) {
	e, ok := s.volumes[name]
	if !ok {
		return nil, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("get %s: no such volume", name))
	}
	return e, nil
}

// Get describes a volume. ErrNotFound: there is none of the name.
func (s *Store) Get(name string) (volume.Volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(name)
	if err != nil {
		return volume.Volume{}, err
	}
	return s.info(e), nil
}

// List describes the volumes that pass the filters dangling, driver, label and name, by name.
func (s *Store) List(f filter.Args) ([]volume.Volume, error) {
	if err := f.Only("dangling", "driver", "label", "label!", "name"); err != nil {
		return nil, err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return nil, err
	}
	list := []volume.Volume{}
	s.mu.Lock()
	for name, e := range s.volumes {
		if f.Has("dangling") && dangling != (len(e.users) == 0) {
			continue
		}
		if f.Match("name", name) && f.Exact("driver", Driver) && f.Labels(e.meta.Labels) {
			list = append(list, s.info(e))
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b volume.Volume) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
