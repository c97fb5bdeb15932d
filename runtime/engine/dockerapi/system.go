package dockerapi

import (
	"context"
	"fmt"
	"net/http"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"
)

// Counts are the containers by state, and the images.
type Counts struct {
	Running, Paused, Stopped, Images int
}

// Usage is what stands on the session's disk: the answer up to version 1.51; moby/api knows only the later one.
type Usage struct {
	LayersSize int64               // bytes of all layers, shared ones once
	Images     []image.Summary     `json:"Images"`
	Containers []container.Summary // with SizeRw
	Volumes    []volume.Volume     // with UsageData
	BuildCache []build.CacheRecord

	BuilderSize int64 // bytes of the build cache that no image has
}

// System answers what is asked of the host as a whole.
type System struct {
	Version  string // of Berth
	Hostname string
	Runc     func(ctx context.Context) string // its version
	Limits   Limits
	Registry registry.ServiceConfig
	// Counts and Usage ask the rooms of the engine.
	Counts func(ctx context.Context) (Counts, error)
	Usage  func(ctx context.Context) (Usage, error)
}

// Limits are what the sandbox has.
type Limits struct {
	CPUs        int
	MemoryBytes int64
	Controllers []string // of the control groups that containers can have limits in
	CgroupV2    bool
}

// Routes is of Part.
func (s *System) Routes(r *Router) {
	r.Handle(http.MethodGet, "/_ping", s.ping)
	r.Handle(http.MethodHead, "/_ping", s.ping)
	r.Handle(http.MethodGet, "/version", s.version)
	r.Handle(http.MethodGet, "/info", s.info)
	r.Handle(http.MethodGet, "/system/df", s.diskUsage)
	for _, topic := range []string{"swarm", "services", "nodes", "tasks", "secrets", "configs"} {
		r.Handle(http.MethodGet, "/"+topic, notSwarm)
		r.Handle(http.MethodPost, "/"+topic+"{rest:.*}", notSwarm)
	}
	r.Handle(http.MethodGet, "/plugins", func(w http.ResponseWriter, _ *http.Request) error { return JSON(w, http.StatusOK, []string{}) })
}

func (s *System) ping(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Builder-Version", "2")
	w.Header().Set("Swarm", "inactive")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", "0")
		return nil
	}
	_, err := w.Write([]byte("OK"))
	return err
}

func (s *System) version(w http.ResponseWriter, r *http.Request) error {
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	details := map[string]string{
		"ApiVersion": Version, "MinAPIVersion": MinVersion, "Os": "linux", "Arch": goruntime.GOARCH, "KernelVersion": kernel,
		"GoVersion": goruntime.Version(), "Experimental": "false",
	}
	return JSON(w, http.StatusOK, system.VersionResponse{
		Platform: system.PlatformInfo{Name: "Berth " + s.Version},
		Version:  EngineVersion, APIVersion: Version, MinAPIVersion: MinVersion, Os: "linux", Arch: goruntime.GOARCH,
		KernelVersion: kernel, GoVersion: goruntime.Version(),
		Components: []system.ComponentVersion{
			{Name: "Engine", Version: EngineVersion, Details: details},
			{Name: "berth", Version: s.Version},
			{Name: "runc", Version: s.Runc(r.Context())},
		},
	})
}

func (s *System) info(w http.ResponseWriter, r *http.Request) error {
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	n, err := s.Counts(r.Context())
	if err != nil {
		return err
	}
	v := system.Info{
		ID: s.Hostname, Name: s.Hostname, Containers: n.Running + n.Paused + n.Stopped, ContainersRunning: n.Running,
		ContainersPaused: n.Paused, ContainersStopped: n.Stopped, Images: n.Images,
		Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}, {"userxattr", "true"}},
		Plugins: system.PluginsInfo{
			Volume: []string{"local"}, Network: []string{"bridge", "host", "null"}, Log: []string{"json-file", "local", "none"},
		},
		IPv4Forwarding: true, NGoroutines: goruntime.NumGoroutine(), SystemTime: time.Now().Format(time.RFC3339Nano),
		LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: "1", KernelVersion: kernel,
		OperatingSystem: "Berth " + s.Version, OSType: "linux", Architecture: machine(), NCPU: s.Limits.CPUs, MemTotal: s.Limits.MemoryBytes,
		IndexServerAddress: "https://index.docker.io/v1/", RegistryConfig: &s.Registry, DockerRootDir: "/var/lib/docker",
		ServerVersion: EngineVersion, Runtimes: map[string]system.RuntimeWithStatus{"runc": {Runtime: system.Runtime{Path: "runc"}}},
		DefaultRuntime: "runc", Swarm: swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}, InitBinary: "docker-init",
		RuncCommit: system.Commit{ID: s.Runc(r.Context())}, SecurityOptions: []string{"name=seccomp,profile=builtin", "name=userns"},
		Labels: []string{}, CDISpecDirs: []string{}, Warnings: []string{},
	}
	s.controllers(&v)
	return JSON(w, http.StatusOK, v)
}

// controllers says which limits containers can have.
func (s *System) controllers(v *system.Info) {
	has := func(name string) bool { return slices.Contains(s.Limits.Controllers, name) }
	v.MemoryLimit, v.CPUSet, v.PidsLimit = has("memory"), has("cpuset"), has("pids")
	v.SwapLimit = v.MemoryLimit
	v.CPUShares, v.CPUCfsPeriod, v.CPUCfsQuota = has("cpu"), has("cpu"), has("cpu")
	if s.Limits.CgroupV2 {
		v.CgroupVersion = "2"
		v.SecurityOptions = append(v.SecurityOptions, "name=cgroupns")
	}
}

func (s *System) diskUsage(w http.ResponseWriter, r *http.Request) error {
	for _, typ := range r.URL.Query()["type"] {
		if !slices.Contains([]string{"container", "image", "volume", "build-cache"}, typ) {
			return Invalid("unknown object type: %s", typ)
		}
	}
	u, err := s.Usage(r.Context())
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, u)
}

// notSwarm is Docker's answer of a host that is in no swarm.
func notSwarm(http.ResponseWriter, *http.Request) error {
	return fmt.Errorf("this node is not a swarm manager: a session is one machine%w", hidden{errUnavailable})
}

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// machine is the architecture as uname(2) says it.
func machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return goruntime.GOARCH
	}
	return unix.ByteSliceToString(u.Machine[:])
}
