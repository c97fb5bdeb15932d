package container

import (
	"context"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	apinet "github.com/moby/moby/api/types/network"
	apivolume "github.com/moby/moby/api/types/volume"

	api "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/volume"
)

// Image is what a container needs to know of its image.
type Image struct {
	ID     string // "sha256:…" of its configuration
	Names  []string
	Config dockerspec.DockerOCIImage
	Parent string
}

// Images keeps images, and the writable layers (roots) of containers by container ID.
type Images interface {
	Get(ctx context.Context, ref string) (Image, error)
	NewRoot(ctx context.Context, key, imageID string) error
	MountRoot(ctx context.Context, key, target string) error
	UnmountRoot(ctx context.Context, key, target string) error
	RemoveRoot(ctx context.Context, key string) error
	RootUsage(ctx context.Context, key string) (rw, root int64, err error)
	Changes(ctx context.Context, key string) ([]api.FilesystemChange, error)
}

// Join is what a container wants of the networks.
type Join struct {
	ContainerID, Name, Hostname, Domainname string

	Mode       string // bridge, none, or a network's name or ID
	Endpoints  map[string]*apinet.EndpointSettings
	Ports      apinet.PortMap
	DNS        []string
	DNSOptions []string
	DNSSearch  []string
	ExtraHosts []string
}

// Joined is what it got.
type Joined struct {
	NetNS      string // path of the namespace
	Endpoints  map[string]*apinet.EndpointSettings
	Ports      apinet.PortMap // as bound
	ResolvConf string
	Hosts      string
}

// Networks connects containers.
type Networks interface {
	Join(ctx context.Context, j Join) (Joined, error)
	Leave(ctx context.Context, containerID string) error
}

// Volumes keeps volumes (volume.Store).
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
