// Package browse looks into volumes and containers: who mounts which volume, what is in it, why a container's user cannot write
// there, and what a container has changed of its image.
package browse

import (
	"context"
	"os"
	"time"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/container"
	"berth/runtime/engine/volume"
)

// counting bounds how long a list waits for the sizes of volumes.
const counting = 2 * time.Second

// Rooms are those of a Docker host that are looked into.
type Rooms struct {
	Volumes    *volume.Store
	Containers *container.Manager
}

// Volume describes one.
type Volume struct {
	Name       string            `json:"name"`
	Driver     string            `json:"driver"`
	Mountpoint string            `json:"mountpoint"`
	Size       *int64            `json:"size"` // bytes; null: too many files to count in time
	Created    string            `json:"created"`
	Labels     map[string]string `json:"labels"`
	UsedBy     []User            `json:"used_by"`
	Hidden     string            `json:"hidden,omitempty"` // why its files cannot be browsed now
}

// User is a container that mounts a volume.
type User struct {
	Container   string `json:"container"`
	Name        string `json:"name"`
	Destination string `json:"destination"`
	RW          bool   `json:"rw"`
	Running     bool   `json:"running"`
}

// List describes all volumes, by name.
func (r Rooms) List(ctx context.Context) ([]Volume, error) {
	all, err := r.Volumes.Usages(ctx, counting)
	if err != nil {
		return nil, err
	}
	users := r.Containers.VolumeUsers()
	out := make([]Volume, 0, len(all))
	for _, u := range all {
		one := Volume{
			Name: u.Name, Driver: u.Driver, Mountpoint: u.Mountpoint, Size: u.Size, Created: u.CreatedAt, Labels: u.Labels,
			UsedBy: []User{}, Hidden: u.Hidden,
		}
		if one.Labels == nil {
			one.Labels = map[string]string{}
		}
		for _, c := range users[u.Name] {
			one.UsedBy = append(one.UsedBy, user(c))
		}
		out = append(out, one)
	}
	return out, nil
}

func user(c container.VolumeUser) User {
	return User{Container: c.ID, Name: c.Name, Destination: c.Destination, RW: c.RW, Running: c.Running}
}

// Open opens the directory of a volume: see volume.Store.
func (r Rooms) Open(name string) (*os.File, error) { return r.Volumes.Open(name) }

// View is how a container sees a volume that it mounts. ref names the container; empty: the first that runs, or the newest.
// Nil: no container mounts it.
func (r Rooms) View(ctx context.Context, name, ref string) (*View, error) {
	for _, u := range r.Containers.VolumeUsers()[name] {
		if ref != "" && u.ID != ref && u.Name != ref {
			continue
		}
		who, err := r.Containers.Viewer(ctx, u.ID, u.Destination)
		if errdefs.IsNotFound(err) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		return NewView(u, who), nil
	}
	if ref != "" {
		return nil, errdefs.ErrNotFound.WithMessage("container " + ref + " does not mount volume " + name)
	}
	return nil, nil
}
