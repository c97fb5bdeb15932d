package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// certsDir is where Docker looks for the certificates of those who vouch for a registry: DIR/HOST:PORT/NAME.crt.
const certsDir = "/etc/docker/certs.d"

// maxCerts bounds what is read of them, in bytes.
const maxCerts = 1 << 20

// authorities are the certificates that the workspace has for a registry, as PEM; none is no error.
func (w *workspace) authorities(registry string) ([]byte, error) {
	dir := path.Join(certsDir, registry)
	if path.Dir(dir) != certsDir {
		return nil, nil
	}
	entries, err := w.files().List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	var pem []byte
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".crt") {
			continue
		}
		f, _, err := w.files().Open(path.Join(dir, e.Name))
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, maxCerts))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		pem = append(append(pem, b...), '\n')
	}
	return pem, nil
}
