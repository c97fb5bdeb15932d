// Package boot turns a freshly cloned process into the machine that a sandbox is: its own root, devices, cgroups and
// system call filter. It runs once, in PID 1, before anything of the visitor does.
package boot

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ConfigVersion is the version of Config; a sandbox refuses one that it does not know.
const ConfigVersion = 2

// File descriptors that the launcher hands to a sandbox, after standard input, output and error.
const (
	ConfigFD   = 3 // Config as JSON, to its end; a pipe
	ListenerFD = 4 // a listening unix socket: the sandbox API
	ReadyFD    = 5 // the sandbox writes Ready as JSON and closes it
	DockerFD   = 6 // a listening unix socket: the Docker API, for root of the host
)

// Config is what the launcher tells a sandbox. Paths under Stage are seen by the sandbox before it has its own root.
type Config struct {
	Version  int    `json:"version"`
	ID       string `json:"id"`
	Hostname string `json:"hostname"`

	// Stage is a directory in which the launcher has mounted disk, layers, catalogue and programs, and where root is an
	// empty directory to build the new root on. The mounts are locked: what is read-only there stays so.
	Stage string `json:"stage"`

	DNS     []string `json:"dns"`               // resolvers of the sandbox's network
	Mirrors []string `json:"mirrors,omitempty"` // of Docker Hub, HOST[:PORT] or URL: they are asked first
	Proc    Budget   `json:"proc"`              // what the visitor's containers may hold together
	Image   Image    `json:"image"`             // of the workspace
	Env     []string `json:"env,omitempty"`
	Shell   []string `json:"shell,omitempty"`

	Terminals int `json:"terminals"` // at most at once
}

// Budget is the part of the sandbox's limits that is left when the engine has kept what it needs to stay answering.
type Budget struct {
	MemoryBytes int64 `json:"memory_bytes"`
	PIDs        int64 `json:"pids"`
}

// Image is an image whose layers stand in the shared cache.
type Image struct {
	Name   string              `json:"name"`
	Layers []string            `json:"layers"` // directories below Stage/layers, lowest first
	Config ocispec.ImageConfig `json:"config"`
}

// Ready is the sandbox's one message to its launcher. An empty Error means that its API answers.
type Ready struct {
	Error string `json:"error,omitempty"`
}
