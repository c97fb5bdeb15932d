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

// maxVolumeWatches bounds the watches of volumes' files; those of the workspace's are counted apart.
const maxVolumeWatches = 8

func (s *Server) browseRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/volumes", s.listVolumes)
	mux.HandleFunc("/v1/volumes/{name}/files", s.volumeFiles)
	mux.HandleFunc("/v1/volumes/{name}/files/{path...}", s.volumeFiles)
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

// inVolume is a workspace whose files are a volume's.
type inVolume struct {
	Workspace
	tree *files.Tree
}

func (v inVolume) Files() *files.Tree { return v.tree }

// volumeFiles serves a volume's files by the routes of the workspace's; only its lists say more.
func (s *Server) volumeFiles(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("watch") {
		if s.volumeWatches.Add(1) > maxVolumeWatches {
			s.volumeWatches.Add(-1)
			problem(w, http.StatusTooManyRequests, "Too many watches of volumes are open already: close one.")
			return
		}
		defer s.volumeWatches.Add(-1)
	}
	dir, err := s.Browser.Open(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer dir.Close()
	tree := files.In(dir)
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && s.listVolume(w, r, tree) {
		return
	}
	in := r.Clone(r.Context())
	in.URL.Path, in.URL.RawPath = "/v1/files"+filePath(r), ""
	routes := (&Server{Workspace: inVolume{s.Workspace, tree}, Log: s.Log}).Handler()
	if q := r.URL.Query(); r.Method != http.MethodPut && r.Method != http.MethodPost || wantsTar(r) || q.Has("rename") {
		routes.ServeHTTP(w, in)
		return
	}
	heir, answer := newHeir(tree, filePath(r)), &held{ResponseWriter: w}
	routes.ServeHTTP(answer, in)
	if err := heir.take(); err != nil {
		s.fail(w, r, err)
		return
	}
	answer.give()
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
