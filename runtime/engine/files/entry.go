package files

import (
	"io/fs"
	"net/url"
	"syscall"
	"unicode/utf8"
)

// unixStat is what fs.FileInfo.Sys holds on Linux.
type unixStat = syscall.Stat_t

func entryOf(info fs.FileInfo) Entry {
	e := Entry{Name: info.Name(), Size: info.Size(), Mode: info.Mode().String(), ModTime: info.ModTime().UTC(), Type: typeOf(info.Mode())}
	if !utf8.ValidString(e.Name) {
		e.Encoded = url.PathEscape(e.Name)
	}
	if st, ok := info.Sys().(*unixStat); ok {
		e.UID, e.GID = st.Uid, st.Gid
	}
	return e
}

func typeOf(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symlink"
	case fs.ModeNamedPipe:
		return "pipe"
	case fs.ModeSocket:
		return "socket"
	default:
		return "device"
	}
}

// Describe is what List would say of a file.
func Describe(info fs.FileInfo) Entry { return entryOf(info) }
