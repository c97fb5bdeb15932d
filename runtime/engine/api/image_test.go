package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image/layers"
)

// inspector answers with one thing or one error, and notes what it was asked.
type inspector struct {
	err   error
	file  string
	query layers.Query
	saved string
}

func (i *inspector) Image(_ context.Context, ref string) (layers.Image, error) {
	return layers.Image{ID: ref}, i.err
}

func (i *inspector) Tree(_ context.Context, _ string, q layers.Query) (layers.Page, error) {
	i.query = q
	return layers.Page{Total: 7}, i.err
}

func (i *inspector) Open(_ context.Context, _ string, _ int, _ string) (*os.File, error) {
	if i.err != nil {
		return nil, i.err
	}
	return os.Open(i.file)
}

func (i *inspector) Compare(_ context.Context, a, b string) (layers.Comparison, error) {
	return layers.Comparison{A: layers.Side{ID: a}, B: layers.Side{ID: b}}, i.err
}

func (i *inspector) Save(_ context.Context, _ string, w io.Writer) error {
	if _, err := io.WriteString(w, i.saved); err != nil {
		return err
	}
	return i.err
}

func serveImages(t *testing.T, i *inspector) *server {
	t.Helper()
	s := serve(t)
	s.api.Images = i
	s.Config.Handler = s.api.Handler()
	return s
}

func TestImageRoutes(t *testing.T) {
	i := &inspector{}
	s := serveImages(t, i)
	if got := s.want(t, "GET", "/v1/image?image=a:b", "", http.StatusOK); !strings.HasPrefix(got, `{"id":"a:b",`) {
		t.Errorf("image: %s", got)
	}
	if got := s.want(t, "GET", "/v1/image/compare?image=a&with=b", "", http.StatusOK); !strings.HasPrefix(got, `{"a":{"id":"a",`) {
		t.Errorf("compare: %s", got)
	}
	s.want(t, "GET", "/v1/image/tree?image=a&layer=3&path=%2Fa%FF&merged=1&recursive&filter=x&change=removed&sort=size&limit=999999&after=5", "", http.StatusOK)
	if want := (layers.Query{Layer: 3, Path: "/a\xff", Merged: true, Recursive: true, Filter: "x", Change: layers.Removed, BySize: true, Limit: 50_000, After: 5}); i.query != want {
		t.Errorf("%+v", i.query)
	}
	s.want(t, "GET", "/v1/image/tree?image=a", "", http.StatusOK)
	if want := (layers.Query{Layer: -1, Limit: 1000}); i.query != want {
		t.Errorf("%+v", i.query)
	}
	for _, bad := range []string{
		"", "/tree", "/file", "/compare?with=b", "/compare?image=a", "/save", "/tree?image=a&layer=x", "/tree?image=a&layer=-1",
		"/tree?image=a&merged=7", "/tree?image=a&change=x", "/tree?image=a&sort=x", "/tree?image=a&limit=-1", "/file?image=a&layer=x",
	} {
		s.want(t, "GET", "/v1/image"+bad, "", http.StatusBadRequest)
	}
	for err, status := range map[error]int{
		errdefs.ErrInvalidArgument: http.StatusBadRequest, errdefs.ErrNotFound.WithMessage("no"): http.StatusNotFound, errdefs.ErrFailedPrecondition: http.StatusConflict,
		errdefs.ErrOutOfRange: http.StatusUnprocessableEntity, errors.New("x"): http.StatusInternalServerError,
	} {
		i.err = err
		for _, path := range []string{"?image=a", "/tree?image=a", "/file?image=a&path=/x", "/compare?image=a&with=b", "/save?image=a"} {
			s.want(t, "GET", "/v1/image"+path, "", status)
		}
	}
}

func TestImageFile(t *testing.T) {
	i := &inspector{file: filepath.Join(t.TempDir(), "f")}
	s := serveImages(t, i)
	euro := strings.Repeat("x", 8<<10-1) + "€uro" // a letter over the end of what is looked at
	for text, kind := range map[string]string{
		"<script>": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8", euro: "text/plain; charset=utf-8", "a\x00b": "application/octet-stream", "\xff": "application/octet-stream",
	} {
		if err := os.WriteFile(i.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		res, got := s.ask(t, "GET", "/v1/image/file?image=a&path=/d/x.html", "")
		if got != text || res.Header.Get("Content-Type") != kind || res.Header.Get("X-Content-Type-Options") != "nosniff" ||
			res.Header.Get("Content-Disposition") != "attachment; filename=x.html" {
			t.Errorf("%.10q: %s %v", text, res.Status, res.Header)
		}
	}
	if err := os.WriteFile(i.file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/image/file?image=a&path=/x", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=3-5")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "345" || err != nil || res.StatusCode != http.StatusPartialContent {
		t.Errorf("a range: %s %q %v", res.Status, b, err)
	}
}

func TestSaveImage(t *testing.T) {
	i := &inspector{saved: "tar"}
	s := serveImages(t, i)
	res, got := s.ask(t, "GET", "/v1/image/save?image=host:5000/a/b:c", "")
	if got != "tar" || res.Header.Get("Content-Disposition") != "attachment; filename=host_5000_a_b_c.tar" || res.Header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("%v %q", res.Header, got)
	}
	i.err = errors.New("the disk is gone")
	res2, err := s.Client().Get(s.URL + "/v1/image/save?image=a")
	if err == nil {
		_, err = io.ReadAll(res2.Body)
		_ = res2.Body.Close()
	}
	if err == nil {
		t.Error("half an archive looks whole")
	}
}
