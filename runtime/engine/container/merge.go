package container

import (
	"slices"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"
)

// merge completes a request with what the image says, by Docker's rules: the request goes first.
func merge(c *api.Config, image dockerspec.DockerOCIImageConfig) error {
	if c.User == "" {
		c.User = image.User
	}
	if err := mergeMaps(c, image); err != nil {
		return err
	}
	for _, kv := range image.Env {
		key, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(c.Env, func(own string) bool { return own == key || strings.HasPrefix(own, key+"=") }) {
			c.Env = append(c.Env, kv)
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = image.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = image.Entrypoint
		}
	}
	c.Healthcheck = mergeHealth(c.Healthcheck, image.Healthcheck)
	if c.WorkingDir == "" {
		c.WorkingDir = image.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = image.StopSignal
	}
	if len(c.Shell) == 0 {
		c.Shell = image.Shell
	}
	return nil
}

// mergeMaps adds the image's ports, labels and volumes.
func mergeMaps(c *api.Config, image dockerspec.DockerOCIImageConfig) error {
	for p := range image.ExposedPorts {
		port, err := apinet.ParsePort(p)
		if err != nil {
			return invalid("the image exposes %q: %v", p, err)
		}
		if c.ExposedPorts == nil {
			c.ExposedPorts = apinet.PortSet{}
		}
		c.ExposedPorts[port] = struct{}{}
	}
	for k, v := range image.Labels {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		if _, ok := c.Labels[k]; !ok {
			c.Labels[k] = v
		}
	}
	for v := range image.Volumes {
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[v] = struct{}{}
	}
	return nil
}

func mergeHealth(own, image *api.HealthConfig) *api.HealthConfig {
	if image == nil || own == nil {
		if own == nil {
			return image
		}
		return own
	}
	h := *own
	if len(h.Test) == 0 {
		h.Test = image.Test
	}
	for _, d := range []struct{ to, from *int64 }{
		{(*int64)(&h.Interval), (*int64)(&image.Interval)},
		{(*int64)(&h.Timeout), (*int64)(&image.Timeout)},
		{(*int64)(&h.StartPeriod), (*int64)(&image.StartPeriod)},
		{(*int64)(&h.StartInterval), (*int64)(&image.StartInterval)},
	} {
		if *d.to == 0 {
			*d.to = *d.from
		}
	}
	if h.Retries == 0 {
		h.Retries = image.Retries
	}
	return &h
}

// command is the program that a container starts, and its arguments.
func command(c *api.Config) (path string, args []string, err error) {
	if len(c.Entrypoint) == 1 && c.Entrypoint[0] == "" {
		c.Entrypoint = nil // --entrypoint "": the image's is not wanted
	}
	all := slices.Concat(c.Entrypoint, c.Cmd)
	if len(all) == 0 {
		return "", nil, invalid("no command specified")
	}
	return all[0], append([]string{}, all[1:]...), nil
}

// environment is what the first process gets: Docker's own, then what the image and the request say. A name alone takes
// the variable away.
func environment(c *api.Config, hostname string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + hostname}
	if c.Tty {
		env = append(env, "TERM=xterm")
	}
	return replaceEnv(env, c.Env)
}

// replaceEnv sets variables in a list: in place where they are there.
func replaceEnv(env, more []string) []string {
	for _, kv := range more {
		key, _, set := strings.Cut(kv, "=")
		i := slices.IndexFunc(env, func(have string) bool { return strings.HasPrefix(have, key+"=") })
		switch {
		case set && i >= 0:
			env[i] = kv
		case set:
			env = append(env, kv)
		case i >= 0:
			env = slices.Delete(env, i, i+1)
		}
	}
	return env
}
