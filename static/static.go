// Package static serves the pages' scripts and styles from the binary. Their sources are in src; static/bundle makes
// dist from them, which is committed so that nobody who only builds Berth needs Node.
package static

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Prefix is the path below which the assets are served.
const Prefix = "/static/"

//go:generate go run ./bundle

//go:embed dist
var dist embed.FS

// Assets are the embedded files, each under a name that holds the hash of its content.
type Assets struct {
	urls  map[string]string // "session.js" → "/static/session-ABCDEFGH.js"
	files map[string]file   // by the name in the URL
}

type file struct {
	contentType string
	plain, gzip []byte
}

// New reads and compresses the embedded files (about 30 ms, once).
func New() (*Assets, error) {
	manifest, err := dist.ReadFile("dist/manifest.json")
	if err != nil {
		return nil, fmt.Errorf("read the list of assets: %w", err)
	}
	names := map[string]string{}
	if err := json.Unmarshal(manifest, &names); err != nil {
		return nil, fmt.Errorf("read the list of assets: %w", err)
	}
	a := &Assets{urls: map[string]string{}, files: map[string]file{}}
	for logical, hashed := range names {
		f, err := load(hashed)
		if err != nil {
			return nil, err
		}
		a.urls[logical] = Prefix + hashed
		a.files[hashed] = f
	}
	return a, nil
}

func load(name string) (file, error) {
	plain, err := dist.ReadFile("dist/" + name)
	if err != nil {
		return file{}, fmt.Errorf("read asset: %w", err)
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return file{}, err
	}
	if _, err := w.Write(plain); err != nil {
		return file{}, fmt.Errorf("compress asset %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return file{}, fmt.Errorf("compress asset %s: %w", name, err)
	}
	return file{contentType: contentType(name), plain: plain, gzip: zipped.Bytes()}, nil
}

// contentType does not ask the host's mime tables, which differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// URL is where the asset with that source name is served, or "" where there is none.
func (a *Assets) URL(name string) string { return a.urls[name] }

// Size is what the asset costs on the wire, in bytes after compression.
func (a *Assets) Size(name string) int {
	return len(a.files[strings.TrimPrefix(a.urls[name], Prefix)].gzip)
}

// ServeHTTP answers for Prefix. The names hold hashes, so that an answer may be kept for ever.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[strings.TrimPrefix(r.URL.Path, Prefix)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the visitor has gone: nobody is left to tell
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(quality, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
