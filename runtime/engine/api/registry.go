package api

import (
	"context"
	"net/http"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image"
)

// Registry looks at images where they are pulled from, before they are.
type Registry interface {
	// Tags lists the tags of a repository, sorted.
	Tags(ctx context.Context, repository string) ([]string, error)
	// RemoteImage tells an image's platforms, and what a pull of each would transfer.
	RemoteImage(ctx context.Context, reference string) (image.RemoteImage, error)
}

func (s *Server) remoteTags(w http.ResponseWriter, r *http.Request) {
	repository := r.URL.Query().Get("repository")
	if repository == "" {
		problem(w, http.StatusBadRequest, "Say which: ?repository=NAME.")
		return
	}
	tags, err := s.Registry.Tags(r.Context(), repository)
	if err != nil {
		s.failRemote(w, r, err)
		return
	}
	answer(w, map[string][]string{"tags": append([]string{}, tags...)}) // never null
}

func (s *Server) remoteImage(w http.ResponseWriter, r *http.Request) {
	reference := r.URL.Query().Get("reference")
	if reference == "" {
		problem(w, http.StatusBadRequest, "Say which: ?reference=NAME:TAG.")
		return
	}
	found, err := s.Registry.RemoteImage(r.Context(), reference)
	if err != nil {
		s.failRemote(w, r, err)
		return
	}
	answer(w, found)
}

// failRemote tells what a registry said, or that it said nothing.
func (s *Server) failRemote(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errdefs.IsInvalidArgument(err):
		problem(w, http.StatusBadRequest, err.Error())
	case errdefs.IsNotFound(err):
		problem(w, http.StatusNotFound, err.Error())
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		problem(w, http.StatusForbidden, err.Error())
	default:
		s.Log.Debug("registry", "path", r.URL.Path, "error", err)
		problem(w, http.StatusBadGateway, err.Error())
	}
}
