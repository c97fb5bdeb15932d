package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// ApplyChanges is for the fuzzer.
func ApplyChanges(c dockerspec.DockerOCIImageConfig, changes []string) (dockerspec.DockerOCIImageConfig, error) {
	return applyChanges(c, changes)
}

// ReadArchive reads what an archive of images holds, and returns how many.
func ReadArchive(t testing.TB, archive []byte) (int, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &members{file: f, at: map[string]member{}}
	defer m.Close() //nolint:errcheck // opened for reading
	if err := m.read(); err != nil {
		return 0, err
	}
	list, err := m.images()
	return len(list), err
}

// Decompressed reads the beginning of a stream that may be compressed.
func Decompressed(b []byte) error {
	r, err := decompress(bytes.NewReader(b))
	if err != nil {
		return err
	}
	_, err = r.Read(make([]byte, 1<<10))
	_ = r.Close() // of bytes in memory
	return err
}
