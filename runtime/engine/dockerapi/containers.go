package dockerapi

import (
	"net/http"
	"strconv"
	"strings"

	containertypes "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"berth/runtime/engine/container"
	"berth/runtime/engine/filter"
)

// Containers answers for containers, but for their streams.
type Containers struct {
	Manager *container.Manager
}

// Routes adds the routes of containers and of the processes that join them.
func (c Containers) Routes(r *Router) {
	r.Handle(http.MethodGet, "/containers/json", c.list)
	r.Handle(http.MethodPost, "/containers/create", c.create)
	r.Handle(http.MethodPost, "/containers/prune", c.prune)
	r.Handle(http.MethodGet, "/containers/{name:.*}/json", c.inspect)
	r.Handle(http.MethodGet, "/containers/{name:.*}/top", c.top)
	r.Handle(http.MethodGet, "/containers/{name:.*}/stats", c.stats)
	r.Handle(http.MethodGet, "/containers/{name:.*}/changes", c.changes)
	r.Handle(http.MethodGet, "/containers/{name:.*}/export", c.export)
	r.Handle(http.MethodPost, "/containers/{name:.*}/start", c.start)
	r.Handle(http.MethodPost, "/containers/{name:.*}/stop", c.stop)
	r.Handle(http.MethodPost, "/containers/{name:.*}/restart", c.restart)
	r.Handle(http.MethodPost, "/containers/{name:.*}/kill", c.kill)
	r.Handle(http.MethodPost, "/containers/{name:.*}/pause", c.pause)
	r.Handle(http.MethodPost, "/containers/{name:.*}/unpause", c.unpause)
	r.Handle(http.MethodPost, "/containers/{name:.*}/wait", c.wait)
	r.Handle(http.MethodPost, "/containers/{name:.*}/rename", c.rename)
	r.Handle(http.MethodPost, "/containers/{name:.*}/update", c.update)
	r.Handle(http.MethodDelete, "/containers/{name:.*}", c.remove)
	r.Handle(http.MethodPost, "/containers/{name:.*}/exec", c.execCreate)
	r.Handle(http.MethodGet, "/exec/{id:.*}/json", c.execInspect)
	r.Handle(http.MethodPost, "/commit", c.commit)
}

func (c Containers) list(w http.ResponseWriter, r *http.Request) error {
	o := container.ListOptions{All: Flag(r, "all"), Size: Flag(r, "size")}
	var err error
	if o.Filters, err = filter.Parse(r.FormValue("filters")); err != nil {
		return err
	}
	if v := r.FormValue("limit"); v != "" {
		if o.Limit, err = strconv.Atoi(v); err != nil {
			return Invalid("invalid limit %q", v)
		}
	}
	list, err := c.Manager.List(r.Context(), o)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, list)
}

// createRequest is what clients send; those before API 1.44 have the address of the default network's interface on top.
type createRequest struct {
	containertypes.CreateRequest
	MacAddress network.HardwareAddr `json:",omitempty"`
}

func (c Containers) create(w http.ResponseWriter, r *http.Request) error {
	var request createRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	if err := createFields.refuse(request.CreateRequest); err != nil {
		return err
	}
	if p := r.FormValue("platform"); p != "" && !strings.HasPrefix(p, "linux") {
		return Invalid("platform %s cannot be run here", p)
	}
	o := container.CreateOptions{Name: r.FormValue("name"), CreateRequest: request.CreateRequest, MacAddress: request.MacAddress}
	made, err := c.Manager.Create(r.Context(), o)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusCreated, made)
}

func (c Containers) inspect(w http.ResponseWriter, r *http.Request) error {
	found, err := c.Manager.Inspect(r.Context(), Var(r, "name"), Flag(r, "size"))
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, found)
}

func (c Containers) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err != nil {
		return err
	}
	report, err := c.Manager.Prune(r.Context(), f)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, report)
}

func (c Containers) rename(w http.ResponseWriter, r *http.Request) error {
	return done(w, c.Manager.Rename(r.Context(), Var(r, "name"), r.FormValue("name")))
}

func (c Containers) remove(w http.ResponseWriter, r *http.Request) error {
	if Flag(r, "link") {
		return Unsupported("link")
	}
	return done(w, c.Manager.Remove(r.Context(), Var(r, "name"), container.RemoveOptions{Force: Flag(r, "force"), Volumes: Flag(r, "v")}))
}

func (c Containers) update(w http.ResponseWriter, r *http.Request) error {
	var request containertypes.UpdateConfig
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	if err := updateFields.refuse(request); err != nil {
		return err
	}
	answer, err := c.Manager.Update(r.Context(), Var(r, "name"), request)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, answer)
}

// done answers that there is nothing to say.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
