package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"berth/runtime/engine/files"
)

// Limits of watches.
const (
	maxWatches = 24 // at once, of the workspace and of volumes, each with its own queue in the kernel
	maxAlso    = 64 // further directories of one watch
)

// watch tells what changes below a directory, as server-sent events, for as long as somebody listens.
func (s served) watch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o := files.WatchOptions{Flat: q.Get("recursive") == "0", Also: q["also"]}
	if len(o.Also) > maxAlso {
		problem(w, http.StatusBadRequest, fmt.Sprintf("at most %d further directories can be watched", maxAlso))
		return
	}
	if !s.watches.take(maxWatches) {
		problem(w, http.StatusTooManyRequests, fmt.Sprintf("%d watches are open already, which is as many as there can be: close one", maxWatches))
		return
	}
	defer s.watches.leave()
	out := newEventStream(w)
	err := s.tree.Watch(r.Context(), filePath(r), o, func(e files.Event) error { return sendChange(out, e) })
	switch {
	case err != nil && !out.begun:
		s.fail(w, r, err)
	case err != nil && r.Context().Err() == nil:
		s.Log.Debug("watch ended", "path", r.URL.Path, "error", err)
	}
}

// sendChange tells an event: created, changed and removed are all "change", with their kind in the data.
func sendChange(out *eventStream, e files.Event) error {
	name := e.Kind
	switch e.Kind {
	case files.Alive:
		return out.send(":\n\n")
	case files.Created, files.Changed, files.Removed:
		name = "change"
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return out.send("event: %s\ndata: %s\n\n", name, data)
}
