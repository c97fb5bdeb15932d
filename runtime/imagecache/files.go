package imagecache

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

const (
	maxDocument       = 8 << 20 // bytes of a manifest, an index or a config; registries allow 4 MiB
	maxArchiveEntries = 100_000 // of the outer archive: a layer and a blob or two for each
)

// files are those of an exported image: a directory, or an archive. Names are relative and use slashes.
type files interface {
	// open returns a file's content and length, or an error that wraps fs.ErrNotExist.
	open(name string) (io.ReadCloser, int64, error)
	Close() error
}

// readDocument reads a small file as a whole.
func readDocument(f files, name string) ([]byte, error) {
	r, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s is %d bytes long, and the most is %d", name, size, maxDocument)
	}
	return io.ReadAll(io.LimitReader(r, maxDocument))
}

// dirFiles are below a directory that they cannot lead out of.
type dirFiles struct{ *os.Root }

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	info, err := d.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a fifo would block for ever
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := d.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// tarFiles are the members of an archive that is not compressed.
type tarFiles struct {
	file    *os.File
	members map[string]member
}

type member struct {
	offset, size int64
	link         string // the member that it stands for; `docker save` before 25 wrote layers it had already so
}

// openTar reads an archive's table of contents. The file is closed with the result.
func openTar(f *os.File) (*tarFiles, error) {
	t := &tarFiles{file: f, members: map[string]member{}}
	tr := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not a valid tar archive: %w", err)
		}
		if n == maxArchiveEntries {
			return nil, fmt.Errorf("the archive has more than %d entries: it is no image (a root file system needs --rootfs)", maxArchiveEntries)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			if h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.size"] != "" {
				return nil, fmt.Errorf("%s is stored sparse in the archive: write it without", name)
			}
			// archive/tar reads exactly the header, so that the content begins here.
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			t.members[name] = member{offset: at, size: h.Size}
		case tar.TypeSymlink:
			t.members[name] = member{link: path.Join(path.Dir(name), h.Linkname)} //nolint:gosec // a key of members, no path of ours
		case tar.TypeLink:
			t.members[name] = member{link: path.Clean(h.Linkname)}
		}
	}
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	m, ok := t.members[path.Clean(name)]
	if ok && m.link != "" {
		m, ok = t.members[m.link]
	}
	if !ok || m.link != "" {
		return nil, 0, fmt.Errorf("%s is missing in the archive: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.file, m.offset, m.size)), m.size, nil
}

func (t *tarFiles) Close() error { return t.file.Close() }
