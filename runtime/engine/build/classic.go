package build

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/upload/uploadprovider"
	"github.com/moby/go-archive/compression"
	"golang.org/x/sync/errgroup"
)

// maxDockerfile bounds a Dockerfile that is read here, in bytes.
const maxDockerfile = 4 << 20

// BuildClassic builds a context that stands in the body, a tar, and tells what it does as Docker's first builder did. It returns
// the image's ID.
func (b *Builder) BuildClassic(ctx context.Context, r Request, body io.Reader, say func(line string)) (id string, err error) {
	c, err := b.Client(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing is lost with it
	attributes, err := r.attributes(b.gateway())
	if err != nil {
		return "", err
	}
	opt := client.SolveOpt{
		Frontend: "dockerfile.v0", FrontendAttrs: attributes, Exports: r.export(), AllowedEntitlements: r.entitlements(),
		Session: []session.Attachable{credentials{auth: r.Auth}},
	}
	for _, ref := range r.CacheFrom {
		opt.CacheImports = append(opt.CacheImports, client.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": ref}})
	}
	source, err := b.context(ctx, &r, body)
	if err != nil {
		return "", err
	}
	defer source.close() //nolint:errcheck // its file has no name any more
	up := uploadprovider.New()
	opt.Session = append(opt.Session, up)
	attributes["context"] = up.Add(io.NopCloser(source.file))
	script, err := readScript(source.dockerfile, r.Target)
	if err != nil {
		return "", err
	}
	return b.solveClassic(ctx, c, opt, &teller{script: script, say: say})
}

func (b *Builder) solveClassic(ctx context.Context, c *client.Client, opt client.SolveOpt, t *teller) (string, error) {
	var answer *client.SolveResponse
	status := make(chan *client.SolveStatus)
	work, working := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		answer, err = c.Solve(working, nil, opt, status)
		return err
	})
	work.Go(func() error {
		for s := range status {
			t.follow(s)
		}
		return nil
	})
	err := work.Wait()
	t.end(err == nil)
	if err != nil {
		return "", err
	}
	return answer.ExporterResponse[exptypes.ExporterImageConfigDigestKey], nil
}

// gateway is where a step in the default network reaches the sandbox itself.
func (b *Builder) gateway() string {
	if a := b.o.Networks.Gateway(); a.IsValid() {
		return a.String()
	}
	return "127.0.0.1"
}

// contextFile is a build's context as a tar, and the Dockerfile in it.
type contextFile struct {
	file       *os.File
	dockerfile []byte
}

func (c *contextFile) close() error { return c.file.Close() }

// context brings the context to the session's disk, from the body or from elsewhere.
func (b *Builder) context(ctx context.Context, r *Request, body io.Reader) (_ *contextFile, err error) {
	if r.Remote != "" {
		remote, err := fetch(ctx, r.Remote)
		if err != nil {
			return nil, err
		}
		defer remote.Close()
		body = remote
	}
	f, err := os.CreateTemp(b.o.Dir, "context-")
	if err != nil {
		return nil, err
	}
	c := &contextFile{file: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil { // it goes with its last descriptor
		return nil, err
	}
	buffered := bufio.NewReader(body)
	head, err := buffered.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if r.Remote != "" && isText(head) { // a Dockerfile alone
		r.Dockerfile = ""
		if c.dockerfile, err = io.ReadAll(io.LimitReader(buffered, maxDockerfile)); err != nil {
			return nil, err
		}
		return c, c.wrap()
	}
	if _, err := io.Copy(f, buffered); err != nil {
		return nil, err
	}
	if err := c.find(r.Dockerfile); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return c, err
}

// fetch opens a context that stands elsewhere.
func fetch(ctx context.Context, url string) (io.ReadCloser, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") || strings.HasSuffix(url, ".git") || strings.Contains(url, ".git#") {
		return nil, invalid("building from git repositories is not supported in this playground: git clone %s in the shell, and build the directory", url)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, invalid("invalid remote context %q: %s", url, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(invalid("failed to GET %s with status %s", url, resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
}

// isText reports whether the beginning of a file is not one of an archive.
func isText(head []byte) bool {
	return compression.Detect(head) == compression.None && !bytes.ContainsRune(head, 0) && len(head) > 0
}

// wrap makes the tar of a context that is a Dockerfile alone.
func (c *contextFile) wrap() error {
	w := tar.NewWriter(c.file)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "Dockerfile", Mode: 0o644, Size: int64(len(c.dockerfile))})
	if err == nil {
		_, err = w.Write(c.dockerfile)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = c.file.Seek(0, io.SeekStart)
	return err
}

// find reads the Dockerfile of the context.
func (c *contextFile) find(name string) error {
	if name == "" {
		name = "Dockerfile"
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	plain, err := compression.DecompressStream(c.file)
	if err != nil {
		return invalid("the build context cannot be read: %s", err)
	}
	defer plain.Close()
	want := path.Join("/", name)
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return invalid("Cannot locate specified Dockerfile: %s", name)
		}
		if err != nil {
			return invalid("the build context is no tar archive: %s", err)
		}
		if path.Join("/", h.Name) != want || //nolint:gosec // it is compared, and no path of ours
			h.Typeflag != tar.TypeReg {
			continue
		}
		c.dockerfile, err = io.ReadAll(io.LimitReader(archive, maxDockerfile))
		return err
	}
}

// parse reads a Dockerfile, with the reason in words where it is none.
func parse(dockerfile []byte) (*parser.Result, error) {
	if len(bytes.TrimSpace(dockerfile)) == 0 {
		return nil, invalid("the Dockerfile cannot be empty")
	}
	p, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil, invalid("%s", err)
	}
	return p, nil
}
