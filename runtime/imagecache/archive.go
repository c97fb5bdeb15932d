package imagecache

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"

	"berth/runtime/imagecache/catalogue"
	"berth/runtime/imagecache/unpack"
)

// archiver keeps a layer's stream as it passes by: sandboxes save and push it. What is compressed is kept as it came, so
// that it has the digest that registries know; a plain tar is compressed.
type archiver struct {
	source io.Reader
	file   *os.File
	plain  *gzip.Writer // nil where the stream is compressed already
	hash   hash.Hash
	size   int64
	zstd   bool
}

// newArchiver returns a reader of the stream that writes what is read to a new file at path.
func newArchiver(path string, stream io.Reader) (*archiver, error) {
	source := bufio.NewReaderSize(stream, 1<<16)
	head, err := source.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	// Readable by the sandboxes' root alone, as all in the catalogue.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	a := &archiver{source: source, file: f, hash: sha256.New(), zstd: len(head) > 0 && head[0] != 0x1f}
	if unpack.IsTar(head) {
		a.zstd = false
		if a.plain, err = gzip.NewWriterLevel(archiveFile{a}, gzip.BestSpeed); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return a, nil
}

// archiveFile counts and hashes what is written to the file.
type archiveFile struct{ a *archiver }

func (w archiveFile) Write(p []byte) (int, error) {
	n, err := w.a.file.Write(p)
	w.a.hash.Write(p[:n])
	w.a.size += int64(n)
	return n, err
}

// Read is of io.Reader.
func (a *archiver) Read(p []byte) (int, error) {
	n, err := a.source.Read(p)
	var w io.Writer = archiveFile{a}
	if a.plain != nil {
		w = a.plain
	}
	if _, werr := w.Write(p[:n]); werr != nil {
		return n, werr
	}
	return n, err
}

// finish ends the file, which is whole if the stream was read to its end.
func (a *archiver) finish() (*catalogue.Archive, error) {
	var err error
	if a.plain != nil {
		err = a.plain.Close()
	}
	err = errors.Join(err, a.file.Close())
	return &catalogue.Archive{Digest: "sha256:" + hex.EncodeToString(a.hash.Sum(nil)), Size: a.size, Zstd: a.zstd}, err
}

func (c *Cache) archivePath(diffID string) string {
	return filepath.Join(c.CatalogueDir(), catalogue.LayersDir, hexOf(diffID))
}

// removeArchives needs the lock. It removes those of layers that the index does not have.
func (c *Cache) removeArchives(x *index) error {
	dir := filepath.Join(c.CatalogueDir(), catalogue.LayersDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := x.Layers["sha256:"+e.Name()]; !ok {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
