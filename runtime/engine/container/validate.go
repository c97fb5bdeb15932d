package container

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"

	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/oci"
)

// maxHostname is the kernel's bound on host names in bytes (HOST_NAME_MAX).
const maxHostname = 64

// defaultShm is Docker's size of /dev/shm in bytes.
const defaultShm = 64 << 20

// checkConfig refuses a configuration as Docker does, and cleans its working directory.
func checkConfig(c *api.Config) error {
	if c.WorkingDir != "" {
		if !path.IsAbs(c.WorkingDir) {
			return invalid("the working directory '%s' is invalid, it needs to be an absolute path", c.WorkingDir)
		}
		c.WorkingDir = path.Clean(c.WorkingDir)
	}
	if c.StopSignal != "" {
		if _, err := parseSignal(c.StopSignal); err != nil {
			return err
		}
	}
	for _, kv := range c.Env {
		if kv == "" || kv[0] == '=' {
			return invalid("invalid environment variable: %s", kv)
		}
	}
	if len(c.Hostname) > maxHostname {
		return invalid("hostname %q is too long (maximum %d bytes)", c.Hostname, maxHostname)
	}
	return checkHealth(c.Healthcheck)
}

func checkHealth(h *api.HealthConfig) error {
	if h == nil {
		return nil
	}
	for _, d := range []struct {
		name  string
		value int64
	}{
		{"Interval", int64(h.Interval)}, {"Timeout", int64(h.Timeout)}, {"StartPeriod", int64(h.StartPeriod)}, {"StartInterval", int64(h.StartInterval)},
	} {
		if d.value != 0 && d.value < int64(api.MinimumDuration) {
			return invalid("%s in Healthcheck cannot be less than %s", d.name, api.MinimumDuration)
		}
	}
	if h.Retries < 0 {
		return invalid("Retries in Healthcheck cannot be negative")
	}
	return nil
}

// checkHost refuses what cannot be, completes what Docker completes, and returns what clients are to be warned of.
func (m *Manager) checkHost(h *api.HostConfig) (warnings []string, err error) {
	if h.AutoRemove && !h.RestartPolicy.IsNone() {
		return nil, invalid("can't create 'AutoRemove' container with restart policy")
	}
	if err := api.ValidateRestartPolicy(h.RestartPolicy); err != nil {
		return nil, invalid("%v", err)
	}
	for _, check := range []func(*api.HostConfig) error{checkNetwork, checkModes, checkSecurity, checkLog, checkDevices} {
		if err := check(h); err != nil {
			return nil, err
		}
	}
	warnings, err = m.checkResources(&h.Resources, false)
	if err != nil {
		return warnings, err
	}
	if h.NetworkMode.IsHost() && len(h.PortBindings) > 0 {
		warnings = append(warnings, "Published ports are discarded when using host network mode")
	}
	return warnings, nil
}

func checkNetwork(h *api.HostConfig) error {
	for port, bindings := range h.PortBindings {
		if !port.IsValid() || port.Num() == 0 {
			return invalid("invalid port specification: %q", port.String())
		}
		for _, b := range bindings {
			if b.HostPort == "" {
				continue
			}
			if _, err := apinet.ParsePortRange(b.HostPort); err != nil {
				return invalid("invalid port specification: %q", b.HostPort)
			}
		}
	}
	for _, line := range h.ExtraHosts {
		name, ip, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return invalid("bad format for add-host: %q", line)
		}
		if _, err := netip.ParseAddr(strings.Trim(ip, "[]")); err != nil && ip != "host-gateway" {
			return invalid("invalid IP address in add-host: %q", ip)
		}
	}
	return nil
}

func checkModes(h *api.HostConfig) error {
	switch {
	case !h.IpcMode.Valid():
		return invalid("invalid IPC mode: %v", h.IpcMode)
	case !h.PidMode.Valid():
		return invalid("invalid PID mode: %v", h.PidMode)
	case !h.UTSMode.Valid():
		return invalid("invalid UTS mode: %v", h.UTSMode)
	case !h.UsernsMode.Valid():
		return invalid("invalid user namespace mode: %v", h.UsernsMode)
	case !h.CgroupnsMode.Valid():
		return invalid("invalid cgroup namespace mode: %v", h.CgroupnsMode)
	case h.ShmSize < 0:
		return invalid("SHM size can not be less than 0")
	case h.OomScoreAdj < -1000 || h.OomScoreAdj > 1000:
		return invalid("Invalid value %d, range for oom score adj is [-1000, 1000]", h.OomScoreAdj)
	case !h.Isolation.IsDefault():
		return invalid("invalid isolation '%s' on linux", h.Isolation)
	case h.Runtime != "" && h.Runtime != runtimeName && h.Runtime != runtimeShim:
		return invalid("unknown or invalid runtime name: %s", h.Runtime)
	case h.VolumeDriver != "" && h.VolumeDriver != localDriver:
		return invalid("error looking up volume plugin %s: plugin %q not found", h.VolumeDriver, h.VolumeDriver)
	}
	for dest := range h.Tmpfs {
		if path.Clean("/"+dest) == "/" {
			return invalid("invalid specification: destination can't be '/'")
		}
		if !path.IsAbs(dest) {
			return invalid("invalid mount path: '%s' mount path must be absolute", dest)
		}
	}
	for k := range h.Annotations {
		if k == "" {
			return invalid("invalid Annotations: the empty string is not permitted as an annotation key")
		}
	}
	if h.NetworkMode.IsHost() || h.NetworkMode.IsContainer() {
		for k := range h.Sysctls {
			if strings.HasPrefix(k, "net.") {
				return invalid("sysctl %q not allowed in %s network namespace", k, strings.Split(string(h.NetworkMode), ":")[0])
			}
		}
	}
	return nil
}

// Names that clients may send for what is the only choice.
const (
	runtimeName = "runc"
	runtimeShim = "io.containerd.runc.v2"
	localDriver = "local"
	noLog       = "none"
)

func checkSecurity(h *api.HostConfig) error {
	if _, err := oci.ParseSecurity(h.SecurityOpt); err != nil {
		return invalid("%v", err)
	}
	if _, err := oci.Capabilities(h.CapAdd, h.CapDrop, h.Privileged); err != nil {
		return invalid("%v", err)
	}
	return nil
}

func checkLog(h *api.HostConfig) error {
	switch h.LogConfig.Type {
	case "":
		h.LogConfig.Type = "json-file"
	case "json-file", "local", noLog:
	default:
		return invalid("error looking up logging plugin %s: plugin %q not found", h.LogConfig.Type, h.LogConfig.Type)
	}
	if h.LogConfig.Config == nil {
		h.LogConfig.Config = map[string]string{}
	}
	_, err := logConfig(h.LogConfig)
	return err
}

// checkDevices looks whether what is to be seen in the container is there in the sandbox.
func checkDevices(h *api.HostConfig) error {
	for _, r := range h.DeviceRequests {
		return invalid("could not select device driver %q with capabilities: %v", r.Driver, r.Capabilities)
	}
	for _, t := range h.Ulimits {
		if t == nil {
			return invalid("invalid ulimit")
		}
		if _, err := t.GetRlimit(); err != nil {
			return invalid("%v", err)
		}
	}
	return nil
}

// device reports whether a path is one of the sandbox's devices (or a directory of them).
func device(p string) error {
	if p != "/dev" && !strings.HasPrefix(path.Clean(p), "/dev/") {
		return fmt.Errorf("not a device node")
	}
	_, err := os.Stat(p)
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
