package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"berth/runtime/engine/files"
)

// Limits of watches.
const (
	maxWatches    = 16               // at once, each with its own queue in the kernel
	maxAlso       = 64               // further directories of one watch
	watchDeadline = 10 * time.Second // a listener that takes longer over one event is dropped
)

// watchFiles tells what changes below a directory, as server-sent events, for as long as somebody listens.
func (s *Server) watchFiles(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o := files.WatchOptions{Flat: q.Get("recursive") == "0", Also: q["also"]}
	if len(o.Also) > maxAlso {
		problem(w, http.StatusBadRequest, fmt.Sprintf("at most %d further directories can be watched", maxAlso))
		return
	}
	if s.watches.Add(1) > maxWatches {
		s.watches.Add(-1)
		problem(w, http.StatusTooManyRequests, fmt.Sprintf("%d watches are open already, which is as many as there can be: close one", maxWatches))
		return
	}
	defer s.watches.Add(-1)
	begun, out := false, http.NewResponseController(w)
	err := s.Workspace.Files().Watch(r.Context(), filePath(r), o, func(e files.Event) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
		}
		text, err := watchEvent(e)
		if err != nil {
			return err
		}
		_ = out.SetWriteDeadline(time.Now().Add(watchDeadline)) // a writer without deadlines is a test's
		if _, err := w.Write(text); err != nil {
			return err
		}
		return out.Flush()
	})
	switch {
	case err != nil && !begun:
		s.fail(w, r, err)
	case err != nil && r.Context().Err() == nil:
		s.Log.Debug("watch ended", "path", r.URL.Path, "error", err)
	}
}

// watchEvent writes an event: created, changed and removed are all "change", with their kind in the data.
func watchEvent(e files.Event) ([]byte, error) {
	name := e.Kind
	switch e.Kind {
	case files.Alive:
		return []byte(":\n\n"), nil
	case files.Created, files.Changed, files.Removed:
		name = "change"
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data), nil
}
