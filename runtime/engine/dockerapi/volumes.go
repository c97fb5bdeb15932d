package dockerapi

import (
	"net/http"

	"github.com/containerd/errdefs"
	volumetypes "github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/filter"
	"berth/runtime/engine/volume"
)

// pruneAnonymousOnly is the API version from which a prune leaves named volumes unless told otherwise.
const pruneAnonymousOnly = "1.42"

// Volumes answers for the volumes of a Docker host.
type Volumes struct {
	Store *volume.Store
}

// Routes adds the routes of volumes.
func (v Volumes) Routes(r *Router) {
	r.Handle(http.MethodGet, "/volumes", v.list)
	r.Handle(http.MethodPost, "/volumes/create", v.create)
	r.Handle(http.MethodPost, "/volumes/prune", v.prune)
	r.Handle(http.MethodGet, "/volumes/{name:.*}", v.inspect)
	r.Handle(http.MethodDelete, "/volumes/{name:.*}", v.remove)
}

func (v Volumes) list(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err != nil {
		return err
	}
	list, err := v.Store.List(f)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, volumetypes.ListResponse{Volumes: list, Warnings: []string{}})
}

func (v Volumes) create(w http.ResponseWriter, r *http.Request) error {
	var request volumetypes.CreateRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	made, err := v.Store.Create(request)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusCreated, made)
}

func (v Volumes) inspect(w http.ResponseWriter, r *http.Request) error {
	found, err := v.Store.Get(Var(r, "name"))
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, found)
}

func (v Volumes) remove(w http.ResponseWriter, r *http.Request) error {
	if err := v.Store.Remove(Var(r, "name"), Flag(r, "force")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (v Volumes) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err != nil {
		return err
	}
	if less(VersionOf(r), pruneAnonymousOnly) {
		if f.Has("all") {
			return errdefs.ErrInvalidArgument.WithMessage("invalid filter 'all'")
		}
		if f == nil {
			f = filter.Args{}
		}
		f["all"] = map[string]bool{"true": true}
	}
	report, err := v.Store.Prune(r.Context(), f)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, report)
}
