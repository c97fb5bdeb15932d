// Package gpu is the room for GPU devices (NVML), their leases and their way into a sandbox (CDI). Nothing of it is built
// yet: no session has a GPU.
package gpu
