package volume

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// mountSpec is what a volume's options ask to be mounted on its data. The zero value: nothing.
type mountSpec struct {
	fstype string // "tmpfs", or "none" for a directory of the workspace
	device string
	flags  uintptr
	data   string // options of the file system
}

// mountFlags are the options of mount(8) that stand for flags of mount(2).
var mountFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "sync": unix.MS_SYNCHRONOUS,
	"dirsync": unix.MS_DIRSYNC, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
	"strictatime": unix.MS_STRICTATIME, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC,
	"rw": 0, "suid": 0, "dev": 0, "exec": 0, "async": 0, "atime": 0, "defaults": 0,
}

// tmpfsOptions are those of tmpfs(5) that an unprivileged owner may set.
var tmpfsOptions = []string{"size", "nr_blocks", "nr_inodes", "mode", "uid", "gid"}

// parseOptions reads the local driver's options: type, device and o.
func parseOptions(options map[string]string) (mountSpec, error) {
	if len(options) == 0 {
		return mountSpec{}, nil
	}
	invalid := func(format string, args ...any) (mountSpec, error) {
		return mountSpec{}, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
	}
	for name := range options {
		switch name {
		case "type", "device", "o":
		case "size":
			return invalid("quota size requested but no quota support")
		default:
			return invalid("invalid option: %q", name)
		}
	}
	for _, name := range []string{"type", "device"} {
		if options[name] == "" {
			return invalid("missing required option: %q", name)
		}
	}
	m := mountSpec{fstype: options["type"], device: options["device"]}
	switch m.fstype {
	case "tmpfs":
		return m, m.parseTmpfs(options["o"])
	case "none", "bind":
		return m, m.parseBind(options["o"])
	}
	return invalid("volume option type=%s is not supported in this playground: it has tmpfs, and none with o=bind", m.fstype)
}

func (m *mountSpec) parseTmpfs(o string) error {
	var data []string
	for option := range splitOptions(o) {
		key, _, valued := strings.Cut(option, "=")
		flag, ok := mountFlags[option]
		switch {
		case ok && flag&unix.MS_BIND == 0:
			m.flags |= flag
		case valued && slices.Contains(tmpfsOptions, key):
			data = append(data, option)
		default:
			return unknownOption(option)
		}
	}
	m.data = strings.Join(data, ",")
	return nil
}

func (m *mountSpec) parseBind(o string) error {
	for option := range splitOptions(o) {
		flag, ok := mountFlags[option]
		if !ok {
			return unknownOption(option)
		}
		m.flags |= flag
	}
	if m.flags&unix.MS_BIND == 0 {
		return errdefs.ErrInvalidArgument.WithMessage(
			"volume option type=none is not supported in this playground without o=bind")
	}
	if !path.IsAbs(m.device) {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("volume option device=%s: want an absolute path", m.device))
	}
	m.fstype = "none"
	return nil
}

func splitOptions(o string) func(yield func(string) bool) {
	return strings.FieldsFuncSeq(o, func(r rune) bool { return r == ',' })
}

func unknownOption(option string) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("volume option o=%s is not supported in this playground", option))
}
