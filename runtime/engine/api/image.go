package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"berth/runtime/engine/image/layers"
)

// How much of a tree is told at once.
const (
	usuallyTold = 1000
	maxTold     = 50_000
)

// sniffed is how much of a file tells whether it is text, in bytes.
const sniffed = 8 << 10

// Inspector looks into images.
type Inspector interface {
	Image(ctx context.Context, ref string) (layers.Image, error)
	Tree(ctx context.Context, ref string, q layers.Query) (layers.Page, error)
	// Open opens a file as of a layer; -1 is the highest.
	Open(ctx context.Context, ref string, layer int, name string) (*os.File, error)
	Compare(ctx context.Context, a, b string) (layers.Comparison, error)
	// Save writes the image as `docker save` does. Nothing is written where there is no such image.
	Save(ctx context.Context, ref string, w io.Writer) error
}

func (s *Server) imageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/image", s.inspectImage)
	mux.HandleFunc("GET /v1/image/tree", s.imageTree)
	mux.HandleFunc("GET /v1/image/file", s.imageFile)
	mux.HandleFunc("GET /v1/image/compare", s.compareImages)
	mux.HandleFunc("GET /v1/image/save", s.saveImage)
}

// imageRef is which image a request is about; "" when it does not say, which has been answered.
func imageRef(w http.ResponseWriter, r *http.Request) string {
	ref := r.URL.Query().Get("image")
	if ref == "" {
		problem(w, http.StatusBadRequest, "Say which: ?image=NAME.")
	}
	return ref
}

func (s *Server) inspectImage(w http.ResponseWriter, r *http.Request) {
	if ref := imageRef(w, r); ref != "" {
		found, err := s.Images.Image(r.Context(), ref)
		s.tellImage(w, r, found, err)
	}
}

func (s *Server) compareImages(w http.ResponseWriter, r *http.Request) {
	ref, with := imageRef(w, r), r.URL.Query().Get("with")
	switch {
	case ref == "":
	case with == "":
		problem(w, http.StatusBadRequest, "Say with which: ?with=NAME.")
	default:
		found, err := s.Images.Compare(r.Context(), ref, with)
		s.tellImage(w, r, found, err)
	}
}

func (s *Server) imageTree(w http.ResponseWriter, r *http.Request) {
	ref := imageRef(w, r)
	if ref == "" {
		return
	}
	q, err := treeQuery(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := s.Images.Tree(r.Context(), ref, q)
	s.tellImage(w, r, found, err)
}

func (s *Server) tellImage(w http.ResponseWriter, r *http.Request, found any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, found)
}

// treeQuery reads the parameters of a tree. Paths are bytes: %FF is one that is no letter.
func treeQuery(v url.Values) (q layers.Query, err error) {
	q = layers.Query{Layer: -1, Path: v.Get("path"), Filter: v.Get("filter"), Limit: usuallyTold}
	for name, at := range map[string]*int{"layer": &q.Layer, "limit": &q.Limit, "after": &q.After} {
		if v.Get(name) == "" {
			continue
		}
		if *at, err = strconv.Atoi(v.Get(name)); err != nil || *at < 0 {
			return q, errors.New(name + " is a number, 0 or more")
		}
	}
	q.Limit = min(q.Limit, maxTold)
	for name, at := range map[string]*bool{"merged": &q.Merged, "recursive": &q.Recursive} {
		if *at, err = strconv.ParseBool(orTrue(v, name)); err != nil {
			return q, errors.New(name + " is 0 or 1")
		}
	}
	changes := map[string]layers.Change{"": layers.Same, "added": layers.Added, "changed": layers.Changed, "removed": layers.Removed}
	var ok bool
	if q.Change, ok = changes[v.Get("change")]; !ok {
		return q, errors.New("change is added, changed or removed")
	}
	switch v.Get("sort") {
	case "", "name":
	case "size":
		q.BySize = true
	default:
		return q, errors.New("sort is name or size")
	}
	return q, nil
}

func (s *Server) imageFile(w http.ResponseWriter, r *http.Request) {
	ref := imageRef(w, r)
	if ref == "" {
		return
	}
	v, layer := r.URL.Query(), -1
	if v.Get("layer") != "" {
		n, err := strconv.Atoi(v.Get("layer"))
		if err != nil || n < 0 {
			problem(w, http.StatusBadRequest, "layer is a number, 0 or more.")
			return
		}
		layer = n
	}
	f, err := s.Images.Open(r.Context(), ref, layer, v.Get("path"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	kind, err := textOrBytes(f)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	attach(w, path.Base(v.Get("path")))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// textOrBytes tells by a file's beginning whether it is text: UTF-8 without zero bytes. It is never told to be anything
// that a browser would act on.
func textOrBytes(f *os.File) (string, error) {
	b := make([]byte, sniffed)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	b = b[:n]
	for cut := 0; cut < utf8.UTFMax && n == sniffed && !utf8.Valid(b); cut++ { // a letter may go on behind it
		b = b[:len(b)-1]
	}
	if !utf8.Valid(b) || strings.IndexByte(string(b), 0) >= 0 {
		return "application/octet-stream", nil
	}
	return "text/plain; charset=utf-8", nil
}

func (s *Server) saveImage(w http.ResponseWriter, r *http.Request) {
	ref := imageRef(w, r)
	if ref == "" {
		return
	}
	out := &begun{ResponseWriter: w, begin: func() {
		w.Header().Set("Content-Type", "application/x-tar")
		attach(w, strings.NewReplacer("/", "_", ":", "_").Replace(ref)+".tar")
	}}
	err := s.Images.Save(r.Context(), ref, out)
	switch {
	case err == nil:
	case out.begin == nil:
		s.Log.Warn("image cut short", "image", ref, "error", err)
		panic(http.ErrAbortHandler) // the client must not take half an archive for a whole one
	default:
		s.fail(w, r, err)
	}
}

// begun sets the headers of a stream with its first bytes, when it is sure that there are some.
type begun struct {
	http.ResponseWriter
	begin func() // nil: it has
}

func (b *begun) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.begin != nil {
		b.begin()
		b.begin = nil
	}
	return b.ResponseWriter.Write(p)
}
