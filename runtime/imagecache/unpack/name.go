package unpack

import (
	"fmt"
	"path"
	"strings"
)

// Names of whiteouts in a layer (OCI image layer specification, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh." // aufs's own files: nothing of the image
)

// EntryError is an entry that a layer must not have, or that could not be written.
type EntryError struct {
	Entry string // its name in the tar
	Why   string
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %.300q: %s", e.Entry, e.Why) }

// cleanName returns the name of an entry relative to the layer's root, "." for the root itself. A leading slash means the
// layer's root, as it does to every other container engine (kaniko writes such layers). A component ".." is refused
// wherever it stands: after a symbolic link its meaning is not lexical.
func cleanName(name string, maxDepth int64) (string, error) {
	if len(name) > int(DefaultMaxNameBytes) {
		return "", &EntryError{name, fmt.Sprintf("its name is longer than %d bytes", DefaultMaxNameBytes)}
	}
	if strings.ContainsRune(name, 0) {
		return "", &EntryError{name, "its name holds a zero byte"}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", &EntryError{name, `refused: ".." in its name would lead out of the layer`}
		}
		if len(part) > 255 { // NAME_MAX (linux/limits.h)
			return "", &EntryError{name, "a component of its name is longer than 255 bytes"}
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		return ".", nil
	}
	if depth := int64(strings.Count(clean, "/") + 1); depth > maxDepth {
		return "", &BudgetError{Budget: BudgetDepth, Limit: maxDepth, Entry: name}
	}
	return clean, nil
}
