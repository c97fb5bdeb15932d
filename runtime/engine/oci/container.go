package oci

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// Container is all that an ordinary container's specification is made of. What a visitor asked for has been checked, names
// have been looked up, and paths are those that runc sees.
type Container struct {
	Config *container.Config // with the image's
	Host   *container.HostConfig

	Rootfs   string
	Hostname string // "": of the UTS namespace that is shared
	Args     []string
	Env      []string
	User     specs.User
	Mounts   []specs.Mount // binds, volumes, tmpfs and /etc files; one over a kernel mount takes its place
	Init     bool          // docker-init as process 1

	// Namespaces that are shared, by kind: a path below /proc or of a bind mount, or Shared for the sandbox's own.
	Join map[specs.LinuxNamespaceType]string

	Cgroup    string // below boot.Payload
	Resources *specs.LinuxResources
	ShmSize   int64 // bytes, of /dev/shm
}

// Shared is the path in Container.Join that says: no namespace of its own, the sandbox's.
const Shared = "-"

// shmDefault is Docker's size of /dev/shm in bytes.
const shmDefault = 64 << 20

// minOOMScore keeps every container's processes above the engine's own score (0).
const minOOMScore = 100

// Spec describes an ordinary container.
func Spec(c Container) (*specs.Spec, error) {
	security, err := ParseSecurity(c.Host.SecurityOpt)
	if err != nil {
		return nil, err
	}
	caps, err := Capabilities(c.Host.CapAdd, c.Host.CapDrop, c.Host.Privileged)
	if err != nil {
		return nil, err
	}
	adj := min(max(oomScore+c.Host.OomScoreAdj, minOOMScore), 1000)
	s := &specs.Spec{
		Version: specs.Version, Hostname: c.Hostname, Domainname: domain(c), Annotations: c.Host.Annotations,
		Root: &specs.Root{Path: c.Rootfs, Readonly: c.Host.ReadonlyRootfs},
		Process: &specs.Process{
			Terminal: c.Config.Tty, ConsoleSize: box(c.Host.ConsoleSize), User: c.User, Args: c.args(), Env: c.Env,
			Cwd: path.Clean("/" + c.Config.WorkingDir), Capabilities: ProcessCapabilities(caps, c.User.UID),
			Rlimits: rlimits(c.Host.Ulimits), NoNewPrivileges: security.NoNewPrivileges, OOMScoreAdj: &adj,
		},
		Mounts: c.mounts(),
		Linux: &specs.Linux{
			CgroupsPath: c.Cgroup, Namespaces: c.namespaces(), Sysctl: c.Host.Sysctls, Resources: c.Resources,
			RootfsPropagation: propagation(c.Mounts),
		},
	}
	s.Process.User.Umask = c.Host.Umask
	if c.Host.Privileged {
		return s, nil // no filter but the wall's, nothing masked
	}
	if !security.UnmaskPaths {
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = MaskedPaths(c.Host), ReadonlyPaths(c.Host)
	}
	return s, setSeccomp(s, security.Seccomp)
}

// MaskedPaths are what the container does not see of the kernel; the request's own list takes the place of Docker's.
func MaskedPaths(h *container.HostConfig) []string {
	if h.MaskedPaths != nil {
		return h.MaskedPaths
	}
	return slices.Clone(maskedPaths)
}

// ReadonlyPaths are what the container cannot write.
func ReadonlyPaths(h *container.HostConfig) []string {
	if h.ReadonlyPaths != nil {
		return h.ReadonlyPaths
	}
	return slices.Clone(readonlyPaths)
}

func domain(c Container) string {
	if c.Hostname == "" {
		return ""
	}
	return c.Config.Domainname
}

func (c Container) args() []string {
	if c.Init {
		return slices.Concat([]string{initPath}, c.Args)
	}
	return c.Args
}

// box is a terminal's size, where one was given: Docker says height, then width.
func box(size [2]uint) *specs.Box {
	if size == [2]uint{} {
		return nil
	}
	return &specs.Box{Height: size[0], Width: size[1]}
}

// rlimitPrefix is what the names of limits begin with in a specification.
const rlimitPrefix = "RLIMIT_"

// rlimits are Docker's, within what the engine itself may have: root of a user namespace cannot raise a hard limit.
func rlimits(limits []*container.Ulimit) []specs.POSIXRlimit {
	var out []specs.POSIXRlimit
	for _, u := range limits {
		l := specs.POSIXRlimit{Type: rlimitPrefix + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)}
		if r, err := u.GetRlimit(); err == nil {
			var have unix.Rlimit
			if unix.Getrlimit(r.Type, &have) == nil {
				l.Hard = min(l.Hard, have.Max)
				l.Soft = min(l.Soft, l.Hard)
			}
		}
		out = append(out, l)
	}
	return out
}

// kinds are the namespaces of a container in the order in which Docker lists them.
var kinds = []specs.LinuxNamespaceType{
	specs.MountNamespace, specs.NetworkNamespace, specs.UTSNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.CgroupNamespace,
}

func (c Container) namespaces() []specs.LinuxNamespace {
	var out []specs.LinuxNamespace
	for _, k := range kinds {
		if at := c.Join[k]; at != Shared {
			out = append(out, specs.LinuxNamespace{Type: k, Path: at})
		}
	}
	return out
}

// mounts puts what was asked for after the kernel's, parents before children.
func (c Container) mounts() []specs.Mount {
	own := slices.Clone(c.Mounts)
	if c.Init {
		own = append(own, bindMount(boot.DockerInit, initPath, "ro"))
	}
	var kernel []specs.Mount
	for _, m := range kernelMounts {
		if slices.ContainsFunc(own, func(o specs.Mount) bool { return o.Destination == m.Destination }) {
			continue
		}
		m.Options = slices.Clone(m.Options)
		switch {
		case m.Destination == "/dev/shm" && c.Host.IpcMode.IsNone():
			continue
		case m.Destination == "/dev/shm":
			size := c.ShmSize
			if size == 0 {
				size = shmDefault
			}
			m.Options[len(m.Options)-1] = fmt.Sprintf("size=%d", size)
		case c.Host.Privileged && strings.HasPrefix(m.Destination, "/sys"):
			m.Options[len(m.Options)-1] = "rw"
		}
		kernel = append(kernel, m)
	}
	slices.SortStableFunc(own, func(a, b specs.Mount) int { return depth(a) - depth(b) })
	return append(kernel, own...)
}

func depth(m specs.Mount) int { return strings.Count(path.Clean(m.Destination), "/") }

// propagation is the root's, where a mount wants more than to be private: runc refuses shared mounts below a private root.
func propagation(mounts []specs.Mount) string {
	var root string
	for _, m := range mounts {
		switch {
		case slices.Contains(m.Options, "shared"), slices.Contains(m.Options, "rshared"):
			return "shared"
		case slices.Contains(m.Options, "slave"), slices.Contains(m.Options, "rslave"):
			root = "rslave"
		}
	}
	return root
}

// Process describes a process that joins a container.
type Process struct {
	Args, Env  []string
	Cwd        string
	User       specs.User
	TTY        bool
	Size       [2]uint // height, width
	Privileged bool
}

// ExecSpec describes a process that joins c.
func ExecSpec(c Container, p Process) (*specs.Process, error) {
	security, err := ParseSecurity(c.Host.SecurityOpt)
	if err != nil {
		return nil, err
	}
	caps, err := Capabilities(c.Host.CapAdd, c.Host.CapDrop, c.Host.Privileged || p.Privileged)
	if err != nil {
		return nil, err
	}
	adj := min(max(oomScore+c.Host.OomScoreAdj, minOOMScore), 1000)
	return &specs.Process{
		Terminal: p.TTY, ConsoleSize: box(p.Size), User: p.User, Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		Capabilities: ProcessCapabilities(caps, p.User.UID), Rlimits: rlimits(c.Host.Ulimits),
		NoNewPrivileges: security.NoNewPrivileges, OOMScoreAdj: &adj,
	}, nil
}

// BindMount is a mount of something that there is.
func BindMount(from, to string, options ...string) specs.Mount {
	return bindMount(from, to, options...)
}

// DefaultEnv is Docker's PATH for images that set none.
const DefaultEnv = pathDefault
