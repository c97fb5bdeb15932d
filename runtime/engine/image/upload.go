package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The requests below are those of the OCI distribution specification, "Push".

func (e *endpoint) url(format string, args ...any) string {
	return fmt.Sprintf("%s://%s/v2/%s/", e.repo.Scheme(), e.repo.RegistryStr(), e.repo.RepositoryStr()) + fmt.Sprintf(format, args...)
}

// do makes a request and checks the status of the answer. The caller closes its body.
func (e *endpoint) do(req *http.Request, statuses ...int) (*http.Response, error) {
	resp, err := (&http.Client{Transport: e.http}).Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, statuses...); err != nil {
		_ = resp.Body.Close() // it has been read
		return nil, err
	}
	return resp, nil
}

func (e *endpoint) hasBlob(ctx context.Context, d digest.Digest) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, e.url("blobs/%s", d), http.NoBody)
	if err != nil {
		return false, err
	}
	resp, err := e.do(req, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// mountBlob takes a blob over from another repository of the registry, if it is there and we may read it.
func (e *endpoint) mountBlob(ctx context.Context, d digest.Digest, from string) (bool, error) {
	q := url.Values{"mount": {d.String()}, "from": {from}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url("blobs/uploads/?%s", q.Encode()), http.NoBody)
	if err != nil {
		return false, err
	}
	resp, err := e.do(req, http.StatusCreated, http.StatusAccepted, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted { // it has begun an upload instead: not this one
		e.abandon(ctx, resp)
	}
	return resp.StatusCode == http.StatusCreated, nil
}

// abandon ends an upload that was begun and is not wanted; a registry that does not know how forgets it by itself.
func (e *endpoint) abandon(ctx context.Context, begun *http.Response) {
	at, err := begun.Location()
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at.String(), http.NoBody)
	if err != nil {
		return
	}
	if resp, err := (&http.Client{Transport: e.http}).Do(req); err == nil {
		_ = resp.Body.Close() // nothing in it matters
	}
}

// begin begins an upload and returns where its bytes go.
func (e *endpoint) begin(ctx context.Context) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url("blobs/uploads/"), http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := e.do(req, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return resp.Location()
}

// put sends a blob in one request.
func (e *endpoint) put(ctx context.Context, d ocispec.Descriptor, open func() (io.ReadCloser, error)) error {
	at, err := e.begin(ctx)
	if err != nil {
		return err
	}
	q := at.Query()
	q.Set("digest", d.Digest.String())
	at.RawQuery = q.Encode()
	body, err := open()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), body)
	if err != nil {
		_ = body.Close() // opened for reading
		return err
	}
	req.ContentLength, req.GetBody = d.Size, open // a token may have to be renewed
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := e.do(req, http.StatusCreated)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (e *endpoint) uploadBlob(ctx context.Context, s *Store, l ocispec.Descriptor, id string, progress Progress) error {
	return e.put(ctx, l, func() (io.ReadCloser, error) {
		r, err := s.openBlob(ctx, l)
		if err != nil {
			return nil, err
		}
		return blobReader{&counted{r: r, total: l.Size, id: id, status: "Pushing", tell: progress}, r}, nil
	})
}

func (e *endpoint) uploadBytes(ctx context.Context, d ocispec.Descriptor, b []byte) error {
	return e.put(ctx, d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
}

func (e *endpoint) putManifest(ctx context.Context, tag, kind string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, e.url("manifests/%s", tag), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := e.do(req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
