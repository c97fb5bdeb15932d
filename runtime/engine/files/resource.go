package files

import (
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Resource is what `docker cp` names in a container: a file, a directory, or a symbolic link itself.
type Resource struct {
	Info   fs.FileInfo
	Name   string // the last part of how it was named
	Target string // of a symbolic link: where it leads to in the container, as far as that exists

	dir  *os.Root
	base string // in dir; ".": dir itself
}

// Resource opens what name leads to. With a slash, or a slash and a dot, at its end a symbolic link is followed, and what
// it leads to must be a directory. Close it.
func (t *Tree) Resource(name string) (*Resource, error) {
	abs := keepEnd(path.Join("/", name), name)
	if strings.HasSuffix(abs, "/") || strings.HasSuffix(abs, "/.") {
		return t.directory(abs)
	}
	dir, base, err := t.parent(abs)
	if err != nil {
		return nil, err
	}
	info, err := dir.Lstat(base)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	if info.IsDir() {
		_ = dir.Close()
		return t.directory(abs)
	}
	r := &Resource{Info: info, Name: path.Base(abs), dir: dir, base: base}
	if info.Mode().Type() == fs.ModeSymlink {
		r.Target, err = t.target(abs)
	}
	return r, err
}

func (t *Tree) directory(abs string) (*Resource, error) {
	dir, err := t.openRoot(abs)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat(".")
	return &Resource{Info: info, Name: path.Base(abs), dir: dir, base: "."}, err
}

// target is where a link leads to. It is told to clients, and nothing is opened by it.
func (t *Tree) target(name string) (string, error) {
	at, err := securejoin.SecureJoin(t.at, name)
	if err != nil {
		return "", err
	}
	if at = strings.TrimPrefix(at, t.at); at == "" {
		return "/", nil
	}
	return at, nil
}

// keepEnd gives a cleaned path back the end that means something: moby's PreserveTrailingDotOrSeparator.
func keepEnd(cleaned, original string) string {
	dot := original == "." || strings.HasSuffix(original, "/.")
	switch {
	case cleaned == "/" && dot:
		return "/."
	case cleaned == "/":
		return cleaned
	case dot:
		return cleaned + "/."
	case strings.HasSuffix(original, "/"):
		return cleaned + "/"
	}
	return cleaned
}

// Close gives up what Resource opened.
func (r *Resource) Close() { _ = r.dir.Close() } // read only

// WriteTar writes it as a tar stream, in which a directory's own name is the beginning of all names.
func (r *Resource) WriteTar(w io.Writer) error {
	if r.base != "." {
		return pack(r.dir, r.base, w, func(string) string { return r.Name })
	}
	prefix := strings.TrimSuffix(r.Name, "/") + "/"
	return pack(r.dir, ".", w, func(p string) string {
		if p == "." {
			return prefix
		}
		return prefix + p
	})
}
