package layers

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	maxKept   = 32 << 20 // bytes of all indexes on the disk
	indexName = ".idx"
)

// files keeps indexes in a directory of the session's disk, by the diff-ids of their layers.
type files struct{ dir string }

func (f files) path(id digest.Digest) string { return filepath.Join(f.dir, id.Encoded()+indexName) }

// load returns nil where there is no index that can be read; one that cannot is removed.
func (f files) load(id digest.Digest) *Index {
	file, err := os.Open(f.path(id))
	if err != nil {
		return nil
	}
	defer file.Close()
	x, err := Decode(bufio.NewReader(file))
	if err != nil {
		_ = os.Remove(f.path(id)) // what cannot be removed is written over
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(f.path(id), now, now) // only which one goes first depends on it
	return x
}

// save writes an index beside its place and moves it there: a reader sees all of it or none.
func (f files) save(id digest.Digest, x *Index) (err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	fresh := filepath.Join(f.dir, ".new-"+rand.Text())
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(file)
	err = errors.Join(x.Encode(b), b.Flush(), file.Close())
	if err == nil {
		err = os.Rename(fresh, f.path(id))
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return f.trim()
}

// trim removes what was not used for longest, and what a process that was killed has left half-written.
func (f files) trim() error {
	list, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	var all []fs.FileInfo
	for _, e := range list {
		info, err := e.Info()
		switch {
		case err != nil: // gone meanwhile
		case strings.HasSuffix(e.Name(), indexName):
			all = append(all, info)
		default:
			_ = os.Remove(filepath.Join(f.dir, e.Name()))
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	var sum int64
	for _, info := range all {
		if sum += info.Size(); sum > maxKept {
			err = errors.Join(err, os.Remove(filepath.Join(f.dir, info.Name())))
		}
	}
	return err
}
