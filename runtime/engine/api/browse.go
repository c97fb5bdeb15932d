package api

import (
	"context"
	"net/http"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"berth/runtime/engine/browse"
	"berth/runtime/engine/files"
)

// Browser looks into volumes and containers.
type Browser interface {
	// List describes all volumes.
	List(ctx context.Context) ([]browse.Volume, error)
	// Open opens the directory of a volume.
	Open(name string) (*os.File, error)
	// View is how a container sees a volume; ref "": any that mounts it; nil: none does.
	View(ctx context.Context, name, ref string) (*browse.View, error)
	// Changes lists what a container has changed of its image's files.
	Changes(ctx context.Context, ref, filter string, limit int) (browse.Changes, error)
}

// How many entries of a directory one answer with ?about has, and how many changes.
const (
	usualEntries = 1000
	maxEntries   = 10_000
	usualChanges = 2000
)

func (s *Server) browseRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/volumes", s.listVolumes)
	for _, method := range fileMethods {
		mux.HandleFunc(method+" /v1/volumes/{name}/files", s.volumeFiles)
		mux.HandleFunc(method+" /v1/volumes/{name}/files/{path...}", s.volumeFiles)
	}
	mux.HandleFunc("GET /v1/changes", s.changes)
}

func (s *Server) listVolumes(w http.ResponseWriter, r *http.Request) {
	all, err := s.Browser.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, all)
}

// volumeFiles serves a volume's files as the workspace's are served; only its lists say more.
func (s *Server) volumeFiles(w http.ResponseWriter, r *http.Request) {
	dir, err := s.Browser.Open(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer dir.Close()
	tree := files.In(dir)
	tree.Inherit = true // what is uploaded for a container's user is that user's
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && s.listVolume(w, r, tree) {
		return
	}
	served{s, tree}.answer(w, r)
}

// listVolume answers for a directory, and reports whether it has.
func (s *Server) listVolume(w http.ResponseWriter, r *http.Request, tree *files.Tree) bool {
	q, name := r.URL.Query(), filePath(r)
	if q.Has("archive") || q.Has("watch") {
		return false
	}
	way, err := tree.Way(name)
	if err != nil || !way[len(way)-1].IsDir() {
		return false // a file; what is wrong, the other handler says
	}
	list, err := tree.List(name)
	if err != nil {
		s.fail(w, r, err)
		return true
	}
	view, err := s.Browser.View(r.Context(), r.PathValue("name"), q.Get("container"))
	if err != nil {
		s.fail(w, r, err)
		return true
	}
	if !q.Has("about") {
		_, entries := view.Directory(name, way, list)
		answer(w, entries)
		return true
	}
	total := len(list)
	list, more := page(list, q.Get("after"), atMost(q.Get("limit"), usualEntries, maxEntries))
	self, entries := view.Directory(name, way, list)
	answer(w, map[string]any{
		"volume": r.PathValue("name"), "path": name, "container": view, "directory": self, "entries": entries, "total": total, "more": more,
	})
	return true
}

// page is the part of a sorted list after a name.
func page(list []files.Entry, after string, most int) ([]files.Entry, bool) {
	slices.SortFunc(list, func(a, b files.Entry) int { return strings.Compare(a.Name, b.Name) })
	if after != "" {
		list = list[sort.Search(len(list), func(i int) bool { return list[i].Name > after }):]
	}
	if len(list) > most {
		return list[:most], true
	}
	return list, false
}

// atMost reads a limit.
func atMost(text string, usual, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return usual
	}
	return min(n, most)
}

func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ref := q.Get("container")
	if ref == "" {
		problem(w, http.StatusBadRequest, "Say which: ?container=NAME.")
		return
	}
	found, err := s.Browser.Changes(r.Context(), ref, q.Get("filter"), atMost(q.Get("limit"), usualChanges, browse.MaxChanges))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Etag", found.Tag)
	if r.Header.Get("If-None-Match") == found.Tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer(w, found)
}
