package container

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
	apimount "github.com/moby/moby/api/types/mount"
)

// mountPoint is something mounted in a container, with what was asked for.
type mountPoint struct {
	Type        apimount.Type
	Name        string `json:",omitempty"` // of the volume
	Source      string `json:",omitempty"` // a bind's path in the workspace; a volume's directory
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation apimount.Propagation
	Copy        bool `json:",omitempty"` // copy the image's files into a new volume
	Own         bool `json:",omitempty"` // made for this container: an anonymous volume, removed with it where that is asked for
	Make        bool `json:",omitempty"` // make the source where there is none

	Spec apimount.Mount // as it was asked for
}

// api is the mount as clients see it.
func (p *mountPoint) api() api.MountPoint {
	return api.MountPoint{
		Type: p.Type, Name: p.Name, Source: p.Source, Destination: p.Destination, Driver: p.Driver, Mode: p.Mode, RW: p.RW,
		Propagation: p.Propagation,
	}
}

var propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// parseBind reads one of HostConfig.Binds: [SOURCE:]DESTINATION[:MODE].
func parseBind(raw, driver string) (*mountPoint, error) {
	wrong := func(why string) error {
		if why != "" {
			why = ": " + why
		}
		return invalid("invalid volume specification: '%s'%s", raw, why)
	}
	f := strings.Split(raw, ":")
	m := apimount.Mount{}
	var mode string
	switch {
	case f[0] == "" || len(f) > 3:
		return nil, wrong("")
	case len(f) == 1:
		m.Target = f[0]
	default:
		m.Source, m.Target = f[0], f[1]
		if len(f) == 3 {
			mode = f[2]
		} else if validMode(f[1]) {
			return nil, wrong("")
		}
	}
	if mode != "" && !validMode(mode) {
		return nil, invalid("invalid mode: %s", mode)
	}
	m.Type = apimount.TypeVolume
	if path.IsAbs(m.Source) {
		m.Type = apimount.TypeBind
	}
	applyMode(&m, mode)
	p, err := newMountPoint(m)
	if err != nil {
		return nil, wrong(err.Error())
	}
	p.Mode, p.Make = mode, true
	if mode == "" && p.Name != "" {
		p.Mode = "z" // as Docker shows it
	}
	if p.Type == apimount.TypeVolume && driver != "" {
		p.Driver = driver
	}
	return p, nil
}

// applyMode sets what a valid mode says.
func applyMode(m *apimount.Mount, mode string) {
	words := strings.Split(mode, ",")
	m.ReadOnly = slices.Contains(words, "ro")
	for _, w := range words {
		if slices.Contains(propagations, w) {
			m.BindOptions = &apimount.BindOptions{Propagation: apimount.Propagation(w)}
		}
	}
	if slices.Contains(words, "nocopy") {
		m.VolumeOptions = &apimount.VolumeOptions{NoCopy: true}
	}
}

// validMode reports whether a mode has at most one word of each kind.
func validMode(mode string) bool {
	kinds := [][]string{{"ro", "rw"}, {"z", "Z"}, propagations, {"copy", "nocopy"}, {"consistent", "cached", "delegated"}}
	seen := make([]bool, len(kinds))
	for w := range strings.SplitSeq(mode, ",") {
		i := slices.IndexFunc(kinds, func(kind []string) bool { return slices.Contains(kind, w) })
		if i < 0 || seen[i] {
			return false
		}
		seen[i] = true
	}
	return true
}

// newMountPoint checks a mount as Docker does. Whether a bind's source is there is not looked at.
func newMountPoint(m apimount.Mount) (*mountPoint, error) {
	if err := checkMount(m); err != nil {
		return nil, invalid("invalid mount config for type %q: %v", m.Type, err)
	}
	p := &mountPoint{Type: m.Type, Destination: path.Clean(m.Target), RW: !m.ReadOnly, Spec: m}
	switch m.Type {
	case apimount.TypeVolume:
		p.Name, p.Driver, p.Copy, p.Own = m.Source, localDriver, true, m.Source == ""
		if o := m.VolumeOptions; o != nil {
			p.Copy = !o.NoCopy
			if o.DriverConfig != nil && o.DriverConfig.Name != "" {
				p.Driver = o.DriverConfig.Name
			}
		}
	case apimount.TypeBind:
		p.Source, p.Propagation = path.Clean(m.Source), apimount.PropagationRPrivate
		if o := m.BindOptions; o != nil {
			p.Make = o.CreateMountpoint
			if o.Propagation != "" {
				p.Propagation = o.Propagation
			}
		}
	default: // a tmpfs has no more
	}
	return p, nil
}

func checkMount(m apimount.Mount) error {
	for _, o := range []struct {
		name string
		set  bool
		of   apimount.Type
	}{
		{"BindOptions", m.BindOptions != nil, apimount.TypeBind},
		{"VolumeOptions", m.VolumeOptions != nil, apimount.TypeVolume},
		{"TmpfsOptions", m.TmpfsOptions != nil, apimount.TypeTmpfs},
	} {
		ofV := o.of != apimount.TypeTmpfs && (m.Type == apimount.TypeBind || m.Type == apimount.TypeVolume) // -v makes either
		if o.set && m.Type != o.of && !ofV {
			return invalid("field %s must not be specified", o.name)
		}
	}
	switch {
	case m.Target == "":
		return invalid("field Target must not be empty")
	case path.Clean(m.Target) == "/":
		return invalid("invalid specification: destination can't be '/'")
	case !path.IsAbs(m.Target):
		return invalid("invalid mount path: '%s' mount path must be absolute", m.Target)
	}
	switch m.Type {
	case apimount.TypeBind:
		return checkBind(m)
	case apimount.TypeVolume:
		if o := m.VolumeOptions; o != nil && o.Subpath != "" {
			if m.Source == "" {
				return invalid("must not set Subpath when using anonymous volumes")
			}
			if !filepath.IsLocal(o.Subpath) {
				return invalid("subpath must be a relative path within the volume")
			}
		}
	case apimount.TypeTmpfs:
		if m.Source != "" {
			return invalid("field Source must not be specified")
		}
		_, err := tmpfsOptions(m)
		return err
	case apimount.TypeImage, apimount.TypeCluster, apimount.TypeNamedPipe:
		return invalid("mounts of type %s are not supported in this playground", m.Type)
	default:
		return invalid("mount type unknown")
	}
	return nil
}

func checkBind(m apimount.Mount) error {
	switch {
	case m.Source == "":
		return invalid("field Source must not be empty")
	case !path.IsAbs(m.Source):
		return invalid("invalid mount path: '%s' mount path must be absolute", m.Source)
	}
	if o := m.BindOptions; o != nil && o.Propagation != "" && !slices.Contains(propagations, string(o.Propagation)) {
		return invalid("invalid propagation mode: %s", o.Propagation)
	}
	return nil
}
