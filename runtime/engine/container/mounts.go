package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	api "github.com/moby/moby/api/types/container"
	apimount "github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/oci"
	"berth/runtime/engine/volume"
)

// specMounts are a container's mounts as runc takes them. etc are the engine's files for /etc, by name: what the visitor
// mounts there goes before them.
func (m *Manager) specMounts(c *Container, etc map[string]string) ([]specs.Mount, error) {
	var out []specs.Mount
	at := map[string]bool{}
	for _, p := range c.rec.Mounts {
		mount, err := m.specMount(c, p)
		if err != nil {
			return nil, err
		}
		out, at[p.Destination] = append(out, mount), true
	}
	for dest, options := range c.host.Tmpfs {
		dest = path.Clean(dest)
		out, at[dest] = append(out, tmpfs(dest, splitOptions(options))), true
	}
	devices, err := deviceMounts(c.host)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		if !at[d.Destination] {
			out, at[d.Destination] = append(out, d), true
		}
	}
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		if dest := "/etc/" + name; !at[dest] && etc[name] != "" {
			out = append(out, oci.BindMount(etc[name], dest))
		}
	}
	return out, nil
}

func (m *Manager) specMount(c *Container, p *mountPoint) (specs.Mount, error) {
	switch p.Type {
	case apimount.TypeTmpfs:
		options, err := tmpfsOptions(p.Spec)
		return tmpfs(p.Destination, options), err
	case apimount.TypeVolume:
		return m.volumeMount(c, p)
	default:
		return m.bindMount(p)
	}
}

func (m *Manager) volumeMount(c *Container, p *mountPoint) (specs.Mount, error) {
	from, err := m.o.Volumes.Use(p.Name, c.id)
	if err != nil {
		return specs.Mount{}, err
	}
	if p.Source != from { // others may be reading it
		p.Source = from
	}
	if o := p.Spec.VolumeOptions; o != nil && o.Subpath != "" {
		if from, err = securejoin.SecureJoin(from, o.Subpath); err != nil {
			return specs.Mount{}, err
		}
		if _, err := os.Stat(from); err != nil {
			return specs.Mount{}, fmt.Errorf("cannot access path %s: %w", path.Join(p.Source, o.Subpath), unix.ENOENT)
		}
	}
	m.o.Volumes.Mounted(p.Name, c.id, volume.Place{Destination: p.Destination, ReadOnly: !p.RW, Propagation: string(p.Propagation)})
	return bind(from, p), nil
}

// bindMount finds the source in the workspace, and makes a directory there where -v names what is not.
func (m *Manager) bindMount(p *mountPoint) (specs.Mount, error) {
	from, err := m.HostPath(p.Source)
	if err != nil {
		return specs.Mount{}, err
	}
	_, err = os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) && p.Make {
		err = os.MkdirAll(from, 0o755)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return specs.Mount{}, invalid("invalid mount config for type \"bind\": bind source path does not exist: %s", p.Source)
	}
	if err != nil {
		return specs.Mount{}, fmt.Errorf("error while creating mount source path '%s': %w", p.Source, err)
	}
	return bind(from, p), nil
}

// bind is a mount with what was asked for it: whether what is mounted below comes along, and can be written.
func bind(from string, p *mountPoint) specs.Mount {
	kind := "rbind"
	propagation := p.Propagation
	if propagation == "" {
		propagation = apimount.PropagationRPrivate
	}
	access := "" // not rw: what the host has read-only, and locked, stays so
	o := p.Spec.BindOptions
	if o != nil && o.NonRecursive {
		kind = "bind"
	}
	switch {
	case p.RW:
	case p.Type == apimount.TypeVolume, o != nil && (o.ReadOnlyNonRecursive || o.NonRecursive && !o.ReadOnlyForceRecursive):
		access = "ro"
	default: // what is mounted below, too: mount_setattr(2), kernel 5.12
		access = "rro"
	}
	options := []string{kind, string(propagation)}
	if access != "" {
		options = append(options, access)
	}
	return specs.Mount{Destination: p.Destination, Type: "bind", Source: from, Options: options}
}

// tmpfs is one with Docker's options, but for those that were given.
func tmpfs(dest string, options []string) specs.Mount {
	defaults := []string{"noexec", "nosuid", "nodev"}
	for _, o := range options {
		word, _, _ := strings.Cut(o, "=")
		defaults = slices.DeleteFunc(defaults, func(d string) bool { return d == "no"+word || d == word })
	}
	return specs.Mount{Destination: dest, Type: "tmpfs", Source: "tmpfs", Options: append(defaults, options...)}
}

// tmpfsOptions are those of a --mount type=tmpfs.
func tmpfsOptions(m apimount.Mount) (options []string, err error) {
	if m.ReadOnly {
		options = append(options, "ro")
	}
	o := m.TmpfsOptions
	if o == nil {
		return options, nil
	}
	if o.Mode != 0 {
		options = append(options, fmt.Sprintf("mode=%o", o.Mode))
	}
	if o.SizeBytes < 0 {
		return nil, invalid("invalid size: %d", o.SizeBytes)
	}
	if o.SizeBytes > 0 {
		options = append(options, fmt.Sprintf("size=%d", o.SizeBytes))
	}
	for _, kv := range o.Options {
		if len(kv) < 1 || len(kv) > 2 {
			return nil, invalid("invalid option array length")
		}
		if kv[0] != "exec" && kv[0] != "noexec" {
			return nil, invalid("invalid option: %s", kv[0])
		}
		options = append(options, strings.Join(kv, "="))
	}
	return options, nil
}

func splitOptions(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(o string) bool { return o == "" })
}

// ordinary are the devices that runc puts into each container by itself.
var ordinary = []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd", "core"}

// deviceMounts are the devices of the sandbox that a container is to have. None can be made here: they are bound.
func deviceMounts(h *api.HostConfig) (out []specs.Mount, err error) {
	if h.Privileged {
		entries, err := os.ReadDir("/dev")
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type()&(fs.ModeDevice|fs.ModeDir) != 0 && !slices.Contains(ordinary, e.Name()) {
				p := "/dev/" + e.Name()
				out = append(out, deviceMount(p, p, "rwm"))
			}
		}
	}
	for _, d := range h.Devices {
		if err := device(d.PathOnHost); err != nil {
			return nil, invalid("error gathering device information while adding custom device %q: %v", d.PathOnHost, err)
		}
		to := d.PathInContainer
		if to == "" {
			to = d.PathOnHost
		}
		if name, ok := strings.CutPrefix(to, "/dev/"); ok && slices.Contains(ordinary, name) && to == d.PathOnHost {
			continue
		}
		out = append(out, deviceMount(d.PathOnHost, filepath.Clean(to), d.CgroupPermissions))
	}
	return out, nil
}

func deviceMount(from, to, permissions string) specs.Mount {
	options := []string{"rbind", "rprivate", "nosuid", "noexec"}
	if permissions != "" && !strings.Contains(permissions, "w") {
		options = append(options, "ro") // what the device control group would forbid
	}
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: options}
}
