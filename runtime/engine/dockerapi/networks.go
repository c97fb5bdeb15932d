package dockerapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"
	networktypes "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/filter"
	"berth/runtime/engine/network"
)

// NetworkedContainers are the containers, running or not, as far as networks go. Containers are named as users name them.
type NetworkedContainers interface {
	// ConnectNetwork joins a container to a network: at once where it runs, or else when it starts.
	ConnectNetwork(ctx context.Context, container, network string, settings *networktypes.EndpointSettings) error
	// DisconnectNetwork takes a container out of a network; with force also one that is not known any more.
	DisconnectNetwork(ctx context.Context, container, network string, force bool) error
}

// Networks answers for the networks of a Docker host.
type Networks struct {
	Manager    *network.Manager
	Containers NetworkedContainers
}

// Routes adds the routes of networks.
func (n Networks) Routes(r *Router) {
	r.Handle(http.MethodGet, "/networks", n.list)
	r.Handle(http.MethodGet, "/networks/", n.list)
	r.Handle(http.MethodPost, "/networks/create", n.create)
	r.Handle(http.MethodPost, "/networks/prune", n.prune)
	r.Handle(http.MethodGet, "/networks/{id:.+}", n.inspect)
	r.Handle(http.MethodDelete, "/networks/{id:.+}", n.remove)
	r.Handle(http.MethodPost, "/networks/{id:.+}/connect", n.connect)
	r.Handle(http.MethodPost, "/networks/{id:.+}/disconnect", n.disconnect)
}

// networkOf is the network in a request's path. Names may have any characters.
func networkOf(r *http.Request) string {
	escaped := Var(r, "id")
	if name, err := url.PathUnescape(escaped); err == nil {
		return name
	}
	return escaped
}

func (n Networks) list(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err != nil {
		return err
	}
	list, err := n.Manager.List(f)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, list)
}

func (n Networks) inspect(w http.ResponseWriter, r *http.Request) error {
	found, err := n.Manager.Inspect(networkOf(r))
	if scope := r.FormValue("scope"); err == nil && scope != "" && scope != found.Scope {
		err = errdefs.ErrNotFound.WithMessage("network " + networkOf(r) + " not found")
	}
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, found)
}

func (n Networks) create(w http.ResponseWriter, r *http.Request) error {
	var request struct {
		networktypes.CreateRequest
		CheckDuplicate bool // of clients before API 1.44: always so
	}
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	made, err := n.Manager.Create(r.Context(), request.CreateRequest)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusCreated, made)
}

func (n Networks) remove(w http.ResponseWriter, r *http.Request) error {
	if err := n.Manager.Remove(r.Context(), networkOf(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (n Networks) connect(w http.ResponseWriter, r *http.Request) error {
	var request networktypes.ConnectRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	return n.Containers.ConnectNetwork(r.Context(), request.Container, networkOf(r), request.EndpointConfig)
}

func (n Networks) disconnect(w http.ResponseWriter, r *http.Request) error {
	var request networktypes.DisconnectRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	return n.Containers.DisconnectNetwork(r.Context(), request.Container, networkOf(r), request.Force)
}

func (n Networks) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err != nil {
		return err
	}
	report, err := n.Manager.Prune(r.Context(), f)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, report)
}
