package api

import (
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
)

func filePath(r *http.Request) string { return path.Clean("/" + r.PathValue("path")) }

func wantsTar(r *http.Request) bool { return r.URL.Query().Get("archive") == "tar" }

func (s *Server) readFile(w http.ResponseWriter, r *http.Request) {
	name, tree := filePath(r), s.Workspace.Files()
	f, info, err := tree.Open(name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	switch {
	case wantsTar(r):
		w.Header().Set("Content-Type", "application/x-tar")
		base := path.Base(name)
		if base == "/" {
			base = "root"
		}
		attach(w, base+".tar")
		if err := tree.WriteTar(name, w); err != nil {
			s.Log.Warn("archive cut short", "path", name, "error", err)
			panic(http.ErrAbortHandler) // the client must not take half an archive for a whole one
		}
	case info.IsDir():
		entries, err := tree.List(name)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer(w, entries)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		attach(w, path.Base(name))
		http.ServeContent(w, r, "", info.ModTime(), f)
	}
}

// attach makes an answer a download: never sniffed, never shown, for it is the visitor's content under our name.
func attach(w http.ResponseWriter, name string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

func (s *Server) writeFile(w http.ResponseWriter, r *http.Request) {
	name, tree := filePath(r), s.Workspace.Files()
	write := tree.Write
	if wantsTar(r) {
		write = tree.ReadTar
	}
	if err := write(name, r.Body); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) mkdir(w http.ResponseWriter, r *http.Request) {
	if on, err := strconv.ParseBool(orTrue(r.URL.Query(), "mkdir")); err != nil || !on {
		problem(w, http.StatusBadRequest, "POST to a path makes a directory: add ?mkdir")
		return
	}
	if err := s.Workspace.Files().Mkdir(filePath(r)); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// orTrue reads a parameter that may stand without a value; "false" when it is absent.
func orTrue(q url.Values, key string) string {
	switch {
	case !q.Has(key):
		return "false"
	case q.Get(key) == "":
		return "true"
	}
	return q.Get(key)
}

func (s *Server) removeFile(w http.ResponseWriter, r *http.Request) {
	if err := s.Workspace.Files().Remove(filePath(r)); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
