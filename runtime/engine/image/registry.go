package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	stallTimeout   = 60 * time.Second // without one byte from a registry
	headersTimeout = 30 * time.Second // to the head of an answer
)

// endpoint is one repository at one registry.
type endpoint struct {
	repo name.Repository
	http http.RoundTripper
}

// connect greets a registry and proves who we are, for these actions ("pull", "pull,push").
func (s *Store) connect(ctx context.Context, r name.Repository, auth authn.Authenticator, actions string) (*endpoint, error) {
	return s.connectTo(ctx, r, auth, actions, insecure(r.RegistryStr()))
}

// connectTo is connect, where plain says whether HTTP will do.
func (s *Store) connectTo(ctx context.Context, r name.Repository, auth authn.Authenticator, actions string, plain bool) (*endpoint, error) {
	if auth == nil {
		auth = authn.Anonymous
	}
	base, err := s.transportTo(r.RegistryStr())
	if err != nil {
		return nil, err
	}
	t, err := transport.NewWithContext(ctx, r.Registry, auth, plainGuard{base, plain}, []string{r.Scope(actions)})
	if err != nil {
		return nil, onlyPlain(err)
	}
	return &endpoint{repo: r, http: t}, nil
}

// onlyPlain leaves out of an error that HTTPS was tried first, where plain HTTP was tried too; and that the guard has kept
// it from being tried.
func onlyPlain(err error) error {
	const second = `Get "http://`
	https, http, both := strings.Cut(err.Error(), "; "+second)
	switch {
	case !both:
		return err
	case strings.HasSuffix(http, errPlainHTTP.Error()):
		return &classified{message: https, class: errdefs.ErrUnknown, cause: err}
	}
	return &classified{message: second + http, class: errdefs.ErrUnknown, cause: err}
}

// transport is what requests are made with.
func (s *Store) transport() http.RoundTripper {
	if s.Transport != nil {
		return s.Transport
	}
	return s.http
}

// transportTo is what requests to a registry are made with: there may be those who vouch for it alone.
func (s *Store) transportTo(registry string) (http.RoundTripper, error) {
	if s.Authorities == nil || s.Transport != nil {
		return s.transport(), nil
	}
	pem, err := s.Authorities(registry)
	if err != nil || len(pem) == 0 {
		return s.http, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the host's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, invalid("there is no certificate in the .crt files of /etc/docker/certs.d/%s", registry)
	}
	t := newTransport()
	t.DisableKeepAlives = true // nobody would close its idle connections
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// newTransport is a transport of our own: its idle connections end with the store.
func newTransport() *http.Transport {
	t := remote.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the library says so
	t.ResponseHeaderTimeout = headersTimeout
	return t
}

// remoteName is a repository as the registry library writes it.
func remoteName(n reference.Named) (name.Repository, error) {
	registry, err := name.NewRegistry(reference.Domain(n))
	if err != nil {
		return name.Repository{}, invalid("invalid reference format: %s", err)
	}
	return registry.Repo(strings.Split(reference.Path(n), "/")...), nil
}

// mirror is a repository at a mirror.
type mirror struct {
	name.Repository
	plain bool // over HTTP: its address says so
}

// mirrors are the places that are asked for a repository of Docker Hub before the hub itself.
func (s *Store) mirrors(n reference.Named) []mirror {
	if reference.Domain(n) != "docker.io" {
		return nil
	}
	var list []mirror
	for _, m := range s.Mirrors {
		host, plain := strings.CutPrefix(m, "http://")
		host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
		var options []name.Option
		if plain {
			options = append(options, name.Insecure)
		}
		r, err := name.NewRepository(host+"/"+reference.Path(n), options...)
		if err != nil {
			s.Log.Error("registry mirror", "mirror", m, "error", err)
			continue
		}
		list = append(list, mirror{r, plain || insecure(r.RegistryStr())})
	}
	return list
}

// insecure reports whether Docker speaks plain HTTP with a registry: only on this machine.
func insecure(registry string) bool {
	host := registry
	if h, _, err := net.SplitHostPort(registry); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// plainGuard keeps the library from falling back to plain HTTP, as it does for private addresses.
type plainGuard struct {
	http.RoundTripper
	allowed bool
}

var errPlainHTTP = errors.New("server gave HTTP response to HTTPS client")

func (g plainGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !g.allowed {
		return nil, errPlainHTTP
	}
	return g.RoundTripper.RoundTrip(r)
}

// manifest fetches the document of a tag or a digest.
func (e *endpoint) manifest(ctx context.Context, tagOrDigest string) (*remote.Descriptor, error) {
	var ref name.Reference = e.repo.Tag(tagOrDigest)
	if strings.Contains(tagOrDigest, ":") {
		ref = e.repo.Digest(tagOrDigest)
	}
	return remote.Get(ref, remote.WithTransport(e.http), remote.WithContext(ctx))
}

// blob opens a blob of a size at an offset. At says where the stream begins: registries may refuse to resume.
func (e *endpoint) blob(ctx context.Context, digest string, offset, size int64) (body io.ReadCloser, at int64, err error) {
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", e.repo.Scheme(), e.repo.RegistryStr(), e.repo.RepositoryStr(), digest)
	reading, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(reading, http.MethodGet, url, http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, size-1))
	}
	resp, err := (&http.Client{Transport: e.http}).Do(req)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable); err != nil {
		cancel(nil)
		return nil, 0, errors.Join(err, resp.Body.Close())
	}
	switch resp.StatusCode {
	case http.StatusOK:
		offset = 0
	case http.StatusRequestedRangeNotSatisfiable: // what was kept is more than there is: begin anew
		cancel(nil)
		_ = resp.Body.Close() // an error document
		return e.blob(ctx, digest, 0, size)
	}
	return watchStall(resp.Body, cancel), offset, nil
}

var errStalled = fmt.Errorf("the registry sent nothing for %s", stallTimeout)

// stallReader ends a stream that stands still.
type stallReader struct {
	io.ReadCloser
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	stalled atomic.Bool
}

func watchStall(body io.ReadCloser, cancel context.CancelCauseFunc) io.ReadCloser {
	s := &stallReader{ReadCloser: body, cancel: cancel}
	s.timer = time.AfterFunc(stallTimeout, func() {
		s.stalled.Store(true)
		cancel(errStalled)
	})
	return s
}

func (s *stallReader) Read(p []byte) (int, error) {
	s.timer.Reset(stallTimeout)
	n, err := s.ReadCloser.Read(p)
	if err != nil && s.stalled.Load() {
		err = errStalled
	}
	return n, err
}

// Close ends the request.
func (s *stallReader) Close() error {
	s.timer.Stop()
	err := s.ReadCloser.Close()
	s.cancel(nil)
	return err
}
