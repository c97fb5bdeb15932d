package container

import (
	"context"

	apinet "github.com/moby/moby/api/types/network"
	apivolume "github.com/moby/moby/api/types/volume"

	"berth/runtime/engine/image"
	"berth/runtime/engine/network"
	"berth/runtime/engine/volume"
)

// Images keeps images, and the writable layers (roots) of containers by container ID: image.Store.
type Images interface {
	Get(ctx context.Context, ref string) (image.Image, error)
	NewRoot(ctx context.Context, key, imageID string) error
	MountRoot(ctx context.Context, key, target string) error
	UnmountRoot(ctx context.Context, key, target string) error
	RemoveRoot(ctx context.Context, key string) error
	RootUsage(ctx context.Context, key string) (rw, root int64, err error)
	RootDirs(ctx context.Context, key string) (upper string, lowers []string, err error)
	Changes(ctx context.Context, key string) ([]image.Change, error)
	Commit(ctx context.Context, key string, o image.CommitOptions) (image.Image, error)
}

// Networks connects containers: network.Manager.
type Networks interface {
	Join(ctx context.Context, j network.Join) (network.Joined, error)
	Leave(ctx context.Context, containerID string) error
	Inspect(ref string) (apinet.Inspect, error)
	// Connect and Disconnect change the place of a container that has joined.
	Connect(ctx context.Context, ref, containerID string, asked *apinet.EndpointSettings) (network.Joined, error)
	Disconnect(ctx context.Context, ref, containerID string) (network.Joined, error)
	Rename(ctx context.Context, containerID, name string) error
}

// Volumes keeps volumes: volume.Store.
type Volumes interface {
	Create(r apivolume.CreateRequest) (apivolume.Volume, error) // one that exists already is returned
	Use(name, containerID string) (path string, err error)
	Mounted(name, containerID string, p volume.Place)
	Stopped(containerID string) error
	Release(containerID string) error
	Populate(ctx context.Context, name, from string) error
	Remove(name string, force bool) error
}

// Workspace is the sandbox's first container, which is the host to all others.
type Workspace struct {
	Rootfs   string // where its files are in the engine's mount namespace
	PID      int    // of its first process
	Hostname string
	// Mounts are the paths of the workspace that are no files of Rootfs, and where they are for the engine: kernel file
	// systems, the Docker socket, the files of /etc.
	Mounts map[string]string
}
