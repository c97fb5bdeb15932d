package volume

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/volume"
)

// nameChars is Docker's alphabet for names (moby's daemon/names).
const nameChars = "[a-zA-Z0-9][a-zA-Z0-9_.-]"

var namePattern = regexp.MustCompile("^" + nameChars + "+$")

// maxName is what a directory's name may have (NAME_MAX), in bytes.
const maxName = 255

func checkName(name string) error {
	switch {
	case len(name) == 1:
		return errdefs.ErrInvalidArgument.WithMessage(
			"volume name is too short, names should be at least two alphanumeric characters")
	case !namePattern.MatchString(name) || len(name) > maxName:
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("%q includes invalid characters for a local volume name, "+
			"only %q are allowed. If you intended to pass a host directory, use absolute path", name, nameChars))
	}
	return nil
}

// Create makes a volume, or returns the one that has the name already. Without a name it gets 64 hexadecimal digits and is
// anonymous.
func (s *Store) Create(r volume.CreateRequest) (volume.Volume, error) {
	if r.ClusterVolumeSpec != nil {
		return volume.Volume{}, errdefs.ErrInvalidArgument.WithMessage(
			"ClusterVolumeSpec is not supported in this playground: leave it out")
	}
	m := meta{Name: r.Name, Created: time.Now(), Labels: maps.Clone(r.Labels), Options: maps.Clone(r.DriverOpts)}
	if m.Name == "" {
		m.Name = randomName()
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[labelAnonymous] = ""
	}
	if r.Driver != "" && r.Driver != Driver {
		return volume.Volume{}, errdefs.ErrNotFound.WithMessage(fmt.Sprintf(
			"create %s: error looking up volume plugin %s: plugin %q not found", m.Name, r.Driver, r.Driver))
	}
	err := checkName(m.Name)
	if err == nil {
		_, err = parseOptions(m.Options)
	}
	if err != nil {
		return volume.Volume{}, fmt.Errorf("create %s: %w", m.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.volumes[m.Name]; ok {
		return s.info(e), nil
	}
	e := newEntry(filepath.Join(s.dir, m.Name), m)
	if err := e.write(); err != nil {
		return volume.Volume{}, errors.Join(fmt.Errorf("create %s: %w", m.Name, err), os.RemoveAll(e.dir))
	}
	s.volumes[m.Name] = e
	s.events.Publish(eventtypes.VolumeEventType, eventtypes.ActionCreate, m.Name, map[string]string{"driver": Driver})
	return s.info(e), nil
}

// write puts a new volume on the disk, its description first: a directory that has data has a description.
func (e *entry) write() error {
	b, err := json.Marshal(e.meta)
	if err != nil {
		return err
	}
	if err := os.Mkdir(e.dir, 0o711); err != nil {
		return err
	}
	path := filepath.Join(e.dir, metaFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return os.Mkdir(e.path(), 0o755)
}

func randomName() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}
