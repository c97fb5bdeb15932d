package api

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"berth/runtime/engine/files"
)

func filePath(r *http.Request) string { return path.Clean("/" + r.PathValue("path")) }

func wantsTar(r *http.Request) bool { return r.URL.Query().Get("archive") == "tar" }

// served are the files of one tree as a request is answered with them.
type served struct {
	*Server
	tree *files.Tree
}

func (s served) answer(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		s.write(w, r)
		_, _ = io.CopyN(io.Discard, r.Body, mostRefused) // whatever ends it, nobody is to tell
	case http.MethodPost:
		s.post(w, r)
	case http.MethodDelete:
		s.remove(w, r)
	default:
		s.read(w, r)
	}
}

// mostRefused is how much of an upload that was refused is still read, in bytes: who sends it hears why only then. One that is closed
// in the middle is an error of the network to the server and to browsers.
const mostRefused = 1 << 30

// fileMethods are the methods of a path of a tree. HEAD comes with GET.
var fileMethods = [...]string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete}

func (s *Server) workspaceFiles(w http.ResponseWriter, r *http.Request) {
	served{s, s.Workspace.Files()}.answer(w, r)
}

func (s served) read(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && isOn(r.URL.Query(), "watch") {
		s.watch(w, r)
		return
	}
	name, tree := filePath(r), s.tree
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
		s.list(w, r, name)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", `"`+files.Version(info)+`"`)
		attach(w, path.Base(name))
		http.ServeContent(w, r, "", info.ModTime(), f)
	}
}

// attach makes an answer a download: never sniffed, never shown, for it is the visitor's content under our name.
func attach(w http.ResponseWriter, name string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

// list answers with a directory's entries: all, or a page of them, which begins after a name.
func (s served) list(w http.ResponseWriter, r *http.Request, name string) {
	q, limit := r.URL.Query(), 0
	if q.Has("limit") {
		var err error
		if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 {
			problem(w, http.StatusBadRequest, "limit is how many entries to list: a number from 1")
			return
		}
	}
	entries, err := s.tree.Page(name, q.Get("after"), limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, entries)
}

func (s served) write(w http.ResponseWriter, r *http.Request) {
	name, tree := filePath(r), s.tree
	if wantsTar(r) {
		if err := tree.ReadTar(name, r.Body); err != nil {
			s.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	info, err := tree.WriteIf(name, r.Body, condition(r.Header))
	if errors.Is(err, fs.ErrExist) { // RFC 9110, 13.1.2
		err = files.ErrChanged
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("ETag", `"`+files.Version(info)+`"`)
	w.WriteHeader(http.StatusNoContent)
}

// condition reads If-Match and If-None-Match: *. Weak tags match nothing (RFC 9110, 13.1.1).
func condition(h http.Header) (c files.Condition) {
	c.New = strings.TrimSpace(h.Get("If-None-Match")) == "*"
	for tag := range strings.SplitSeq(h.Get("If-Match"), ",") {
		switch tag = strings.TrimSpace(tag); tag {
		case "":
		case "*":
			c.Exists = true
		default:
			c.Versions = append(c.Versions, strings.Trim(tag, `"`))
		}
	}
	return c
}

// post makes a directory, or gives what is there another name.
func (s served) post(w http.ResponseWriter, r *http.Request) {
	q, tree := r.URL.Query(), s.tree
	var err error
	switch to := q.Get("rename"); {
	case q.Has("rename") && path.IsAbs(to):
		err = tree.Rename(filePath(r), to)
	case q.Has("rename"):
		problem(w, http.StatusBadRequest, "rename is the new path, from the root: ?rename=/new/path")
		return
	case isOn(q, "mkdir"):
		err = tree.Mkdir(filePath(r))
	default:
		problem(w, http.StatusBadRequest, "POST to a path makes a directory or renames what is there: add ?mkdir or ?rename=/new/path")
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// isOn reads a switch, which may stand without a value.
func isOn(q url.Values, key string) bool {
	on, err := strconv.ParseBool(orTrue(q, key))
	return err == nil && on
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

func (s served) remove(w http.ResponseWriter, r *http.Request) {
	if err := s.tree.Remove(filePath(r)); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
