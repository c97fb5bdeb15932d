package layers

import (
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Limits of what is looked into. An entry takes some 50 bytes of memory beside its name.
const (
	maxEntries = 500_000       // of all layers of an image
	maxNames   = 64 << 20      // bytes of the names and targets of one layer
	maxName    = unix.NAME_MAX // bytes
)

// Kind is what an entry is.
type Kind uint8

// The kinds of entries.
const (
	File Kind = iota
	Directory
	Symlink
	Device
	Pipe
	Socket
	whiteout // overlay's mark that what was here is gone
)

// String is the word that answers use.
func (k Kind) String() string {
	words := [...]string{"file", "directory", "symlink", "device", "pipe", "socket", "removed"}
	if int(k) >= len(words) {
		return fmt.Sprintf("kind %d", k)
	}
	return words[k]
}

// Flags of an entry.
const (
	flagOpaque uint8 = 1 << iota // a directory that hides what lies below it
	flagLinked                   // a further name of a file that was counted at another
	flagClosed                   // a directory that the engine may not read
	flagsAll   = flagOpaque | flagLinked | flagClosed
)

// entry is one name of a layer.
type entry struct {
	size      int64 // bytes of a file
	mtime     int64 // s since 1970
	name      uint32
	target    uint32 // of a symbolic link; both are offsets in names
	end       int32  // the entry after the last one below this one
	uid, gid  uint32
	mode      uint16 // permissions, setuid, setgid, sticky
	targetLen uint16
	nameLen   uint8
	kind      Kind
	flags     uint8
}

// bytes is what an entry takes of the layer.
func (e *entry) bytes() int64 {
	if e.kind != File || e.flags&flagLinked != 0 {
		return 0
	}
	return e.size
}

// Index is all that one layer holds: its entries from the root on, what is in a directory right behind it, sorted by name.
type Index struct {
	entries []entry
	names   []byte
}

// Len is the number of entries, the root among them.
func (x *Index) Len() int { return len(x.entries) }

func (x *Index) name(i int32) []byte {
	e := &x.entries[i]
	return x.names[e.name : e.name+uint32(e.nameLen)]
}

func (x *Index) target(i int32) string {
	e := &x.entries[i]
	return string(x.names[e.target : e.target+uint32(e.targetLen)])
}

// add appends an entry and its name; its end is set when it is known.
func (x *Index) add(e entry, name, target string) (int32, error) {
	if len(x.entries) >= maxEntries || len(x.names)+len(name)+len(target) > maxNames {
		return 0, errTooMany()
	}
	e.name, e.nameLen = uint32(len(x.names)), uint8(len(name))
	x.names = append(x.names, name...)
	e.target, e.targetLen = uint32(len(x.names)), uint16(len(target))
	x.names = append(x.names, target...)
	x.entries = append(x.entries, e)
	return int32(len(x.entries) - 1), nil
}

func errTooMany() error {
	return errdefs.ErrOutOfRange.WithMessage(fmt.Sprintf(
		"This image has more than %d files, which is more than the inspector reads. Look into it with a container.", maxEntries))
}
