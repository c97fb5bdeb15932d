package oci

import (
	"context"
	"io"
	"os"
	"strings"
)

// maxVersion bounds what runc says of itself.
const maxVersion = 4 << 10

// Version is the release of runc.
func (r *Runtime) Version(ctx context.Context) (string, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer out.Close()
	p, err := r.Reaper.Start(r.Path, []string{"runc", "--version"}, &os.ProcAttr{Files: []*os.File{nil, in, nil}, Dir: "/"})
	_ = in.Close() // the process has its own
	if err != nil {
		return "", err
	}
	said, err := io.ReadAll(io.LimitReader(out, maxVersion))
	if err != nil {
		return "", err
	}
	if _, err := p.Wait(ctx); err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(said), "\n")
	return strings.TrimPrefix(strings.TrimSpace(first), "runc version "), nil
}
