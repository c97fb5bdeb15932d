package sessions

import (
	"context"
	"net"

	"berth/quotas"
)

// Launcher makes sandboxes: on this host (runtime/sandbox) or on a cluster (runtime/kubernetes). Spec, ID and Capacity
// are plain data, so that a launcher can stand behind a socket. Every launcher passes the suite in sessions/sessionstest.
type Launcher interface {
	// Launch returns when the sandbox's API answers. When it fails, or ctx ends, nothing of the sandbox is left.
	Launch(ctx context.Context, id ID, spec Spec) (Sandbox, error)
	// Find returns a sandbox that an earlier server launched and that still runs, or ErrNotFound.
	Find(ctx context.Context, id ID) (Sandbox, error)
	// Sweep removes every sandbox of this launcher, and every remnant of one, whose ID is not in keep.
	Sweep(ctx context.Context, keep []ID) (removed []ID, err error)
	// Capacity says how many sandboxes of a kind the host could carry.
	Capacity(ctx context.Context) (Capacity, error)
}

// Sandbox is one running sandbox. Its API (terminals, exec, files, ports, Docker) is plain HTTP.
type Sandbox interface {
	// Dial connects to the sandbox's API.
	Dial(ctx context.Context) (net.Conn, error)
	Usage(ctx context.Context) (quotas.Usage, error)
	// Wait returns when the sandbox has ended by itself or was closed.
	Wait(ctx context.Context) (Exit, error)
	// Close ends the sandbox and frees all that Launch took, in reverse. It is idempotent; after an error it may be
	// called again.
	Close(ctx context.Context) error
}

// Spec is what a sandbox is made from.
type Spec struct {
	Image    string        `json:"image"`    // reference in the image cache
	Hostname string        `json:"hostname"` // of the workspace
	Env      []string      `json:"env,omitempty"`
	Shell    []string      `json:"shell,omitempty"` // what a terminal starts; empty: bash where the image has it, else sh
	Limits   quotas.Limits `json:"limits"`
	Build    string        `json:"build,omitempty"` // of the server that asked: Config.Build
}

// Capacity is what the host has for sandboxes.
type Capacity struct {
	CPUs        float64 `json:"cpus"`
	MemoryBytes int64   `json:"memory_bytes"`
	DiskFree    int64   `json:"disk_free"` // bytes free where session disks live
}

// Exit says how a sandbox ended.
type Exit struct {
	Reason  Reason `json:"reason"`            // Crashed, OutOfMemory or Closed
	Message string `json:"message,omitempty"` // for the operator
}
