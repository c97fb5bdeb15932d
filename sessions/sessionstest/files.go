package sessionstest

import (
	"io"
	"net/http"
	"sync"
)

// maxFile bounds a file of the fake, in bytes.
const maxFile = 16 << 20

// files serves GET, PUT and DELETE of /v1/files/{path}, in memory.
type files struct {
	mu      sync.Mutex
	content map[string][]byte
}

func newFiles() http.Handler {
	f := &files{content: make(map[string][]byte)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/files/{path...}", f.get)
	mux.HandleFunc("PUT /v1/files/{path...}", f.put)
	mux.HandleFunc("DELETE /v1/files/{path...}", f.remove)
	return mux
}

func (f *files) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	b, ok := f.content[r.PathValue("path")]
	f.mu.Unlock()
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	_, _ = w.Write(b) // the reader has gone
}

func (f *files) put(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFile))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content[r.PathValue("path")] = b
	w.WriteHeader(http.StatusNoContent)
}

func (f *files) remove(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.content, r.PathValue("path"))
	w.WriteHeader(http.StatusNoContent)
}
