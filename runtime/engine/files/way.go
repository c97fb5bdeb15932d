package files

import (
	"io/fs"
	"path"
	"strings"
)

// maxWay bounds how deep a path is looked at: PATH_MAX allows 2,048 parts.
const maxWay = 256

// Way describes the directories that lead to name, the root first, and what name is last: links among the directories are
// followed, one that name itself is, is not.
func (t *Tree) Way(name string) ([]fs.FileInfo, error) {
	name = path.Clean("/" + name)
	var way []fs.FileInfo
	parts := strings.Split(name, "/")[1:]
	at := "/"
	for i := range parts {
		if i > maxWay {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
		}
		info, err := t.stat(at)
		if err != nil {
			return nil, err
		}
		way = append(way, info)
		at = path.Join(at, parts[i])
	}
	if name == "/" {
		return way, nil
	}
	dir, base, err := t.parent(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, err := dir.Lstat(base)
	return append(way, info), err
}

func (t *Tree) stat(name string) (fs.FileInfo, error) {
	h, err := t.handle(name)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Stat()
}

// Chown gives what name is, a link itself, to an owner.
func (t *Tree) Chown(name string, uid, gid int) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Lchown(base, uid, gid)
}
