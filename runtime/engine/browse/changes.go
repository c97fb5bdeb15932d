package browse

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"

	"berth/runtime/engine/image"
)

// MaxChanges bounds how many paths one answer has.
const MaxChanges = 10_000

// Change is one path that a container has not as its image has it: `docker diff`, with sizes.
type Change struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // added, changed, removed
	Type string `json:"type"` // file, directory, symlink, other; empty for what is removed
	Size int64  `json:"size"` // bytes, of files
}

// Changes is what a container has changed. The figures are of all that passes the filter, whether listed or not.
type Changes struct {
	Total   int      `json:"total"`
	Added   int      `json:"added"`
	Changed int      `json:"changed"`
	Removed int      `json:"removed"`
	Bytes   int64    `json:"bytes"`
	More    bool     `json:"more"` // there are more than are listed
	Changes []Change `json:"changes"`
	Tag     string   `json:"-"` // differs where the answer does
}

var kinds = map[image.Kind]string{image.Added: "added", image.Modified: "changed", image.Deleted: "removed"}

// Changes lists what a container has changed, by path: at most limit of the paths that contain filter, in any case.
func (r Rooms) Changes(ctx context.Context, ref, filter string, limit int) (Changes, error) {
	list, err := r.Containers.ChangedFiles(ctx, ref)
	if err != nil {
		return Changes{}, err
	}
	return Summarize(list, filter, limit), nil
}

// Summarize is Changes of a list, sorted by path.
func Summarize(list []image.Change, filter string, limit int) Changes {
	out := Changes{Changes: []Change{}}
	wanted := strings.ToLower(filter)
	sum := fnv.New64a()
	for _, c := range list {
		if wanted != "" && !strings.Contains(strings.ToLower(c.Path), wanted) {
			continue
		}
		_, _ = fmt.Fprintf(sum, "%q %d %d %d\n", c.Path, c.Kind, c.Mode, c.Size) // a hash does not fail
		out.Total++
		out.Bytes += c.Size
		switch c.Kind {
		case image.Added:
			out.Added++
		case image.Deleted:
			out.Removed++
		default:
			out.Changed++
		}
		if len(out.Changes) < limit {
			out.Changes = append(out.Changes, Change{Path: c.Path, Kind: kinds[c.Kind], Type: typeOf(c), Size: c.Size})
		}
	}
	out.More = out.Total > len(out.Changes)
	out.Tag = fmt.Sprintf(`"%x-%d"`, sum.Sum64(), limit)
	return out
}

func typeOf(c image.Change) string {
	switch {
	case c.Kind == image.Deleted:
		return ""
	case c.Mode.IsRegular():
		return "file"
	case c.Mode.IsDir():
		return "directory"
	case c.Mode.Type() == fs.ModeSymlink:
		return "symlink"
	}
	return "other"
}
