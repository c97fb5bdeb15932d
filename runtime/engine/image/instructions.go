package image

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// instruction changes a config by the rest of one line of a Dockerfile.
type instruction func(c *dockerspec.DockerOCIImageConfig, args string) error

// instructions are those that `docker commit --change` and `docker import --change` take.
func instructions() map[string]instruction {
	return map[string]instruction{
		"CMD": changeCmd, "ENTRYPOINT": changeEntrypoint, "ENV": changeEnv, "EXPOSE": changeExpose, "LABEL": changeLabel,
		"ONBUILD": changeOnBuild, "USER": changeUser, "VOLUME": changeVolume, "WORKDIR": changeWorkdir,
		"HEALTHCHECK": changeHealthcheck, "STOPSIGNAL": changeStopSignal, "SHELL": changeShell,
	}
}

// applyChanges returns the config with instructions of a Dockerfile applied to it. The one given is not touched.
func applyChanges(c dockerspec.DockerOCIImageConfig, changes []string) (dockerspec.DockerOCIImageConfig, error) {
	c.Env, c.OnBuild = slices.Clone(c.Env), slices.Clone(c.OnBuild)
	c.ExposedPorts, c.Volumes, c.Labels = maps.Clone(c.ExposedPorts), maps.Clone(c.Volumes), maps.Clone(c.Labels)
	known := instructions()
	for _, change := range changes {
		for line := range strings.SplitSeq(change, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			word, args, _ := strings.Cut(line, " ")
			do, ok := known[strings.ToUpper(word)]
			if !ok {
				return c, invalid("%s is not a valid change command", word)
			}
			args = strings.TrimSpace(args)
			if args == "" {
				return c, invalid("%s requires at least one argument", strings.ToUpper(word))
			}
			if err := do(&c, args); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// exec reads the JSON form, or wraps the other in a shell.
func exec(c *dockerspec.DockerOCIImageConfig, args string) []string {
	if list, ok := jsonList(args); ok {
		return list
	}
	shell := c.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), args)
}

func jsonList(args string) ([]string, bool) {
	var list []string
	if !strings.HasPrefix(args, "[") || json.Unmarshal([]byte(args), &list) != nil {
		return nil, false
	}
	return list, true
}

func changeCmd(c *dockerspec.DockerOCIImageConfig, args string) error {
	c.Cmd = exec(c, args)
	return nil
}

func changeEntrypoint(c *dockerspec.DockerOCIImageConfig, args string) error {
	c.Entrypoint = exec(c, args)
	return nil
}

func changeEnv(c *dockerspec.DockerOCIImageConfig, args string) error {
	pairs, err := pairsOf("ENV", args, lookupIn(c.Env))
	if err != nil {
		return err
	}
	for _, p := range pairs {
		entry := p[0] + "=" + p[1]
		at := slices.IndexFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, p[0]+"=") })
		if at >= 0 {
			c.Env[at] = entry
		} else {
			c.Env = append(c.Env, entry)
		}
	}
	return nil
}

func changeLabel(c *dockerspec.DockerOCIImageConfig, args string) error {
	pairs, err := pairsOf("LABEL", args, lookupIn(c.Env))
	if err != nil {
		return err
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, p := range pairs {
		c.Labels[p[0]] = p[1]
	}
	return nil
}

func changeExpose(c *dockerspec.DockerOCIImageConfig, args string) error {
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	words, err := split(args, lookupIn(c.Env))
	if err != nil {
		return err
	}
	for _, word := range words {
		ports, proto, ok := strings.Cut(strings.ToLower(word), "/")
		if !ok {
			proto = "tcp"
		}
		first, last, ranged := strings.Cut(ports, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from > to || from == 0 || !slices.Contains([]string{"tcp", "udp", "sctp"}, proto) {
			return invalid("invalid containerPort: %s", word)
		}
		for p := from; p <= to; p++ {
			c.ExposedPorts[fmt.Sprintf("%d/%s", p, proto)] = struct{}{}
		}
	}
	return nil
}

func changeOnBuild(c *dockerspec.DockerOCIImageConfig, args string) error {
	word, _, _ := strings.Cut(args, " ")
	switch w := strings.ToUpper(word); w {
	case "ONBUILD":
		return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return invalid("%s isn't allowed as an ONBUILD trigger", w)
	}
	c.OnBuild = append(c.OnBuild, args)
	return nil
}

func changeUser(c *dockerspec.DockerOCIImageConfig, args string) (err error) {
	c.User, err = one("USER", args, lookupIn(c.Env))
	return err
}

func changeWorkdir(c *dockerspec.DockerOCIImageConfig, args string) error {
	dir, err := one("WORKDIR", args, lookupIn(c.Env))
	if err != nil {
		return err
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", c.WorkingDir, dir)
	}
	c.WorkingDir = path.Clean(dir)
	return nil
}

func changeVolume(c *dockerspec.DockerOCIImageConfig, args string) (err error) {
	list, ok := jsonList(args)
	if !ok {
		if list, err = split(args, lookupIn(c.Env)); err != nil {
			return err
		}
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, v := range list {
		if v = strings.TrimSpace(v); v == "" {
			return invalid("VOLUME specified can not be an empty string")
		}
		c.Volumes[v] = struct{}{}
	}
	return nil
}

func changeStopSignal(c *dockerspec.DockerOCIImageConfig, args string) (err error) {
	c.StopSignal, err = one("STOPSIGNAL", args, lookupIn(c.Env))
	return err
}

func changeShell(c *dockerspec.DockerOCIImageConfig, args string) error {
	list, ok := jsonList(args)
	if !ok || len(list) == 0 {
		return invalid("SHELL requires the arguments to be in JSON form")
	}
	c.Shell = list
	return nil
}

// changeHealthcheck reads HEALTHCHECK [--interval=… --timeout=… --start-period=… --start-interval=… --retries=…] CMD … | NONE.
func changeHealthcheck(c *dockerspec.DockerOCIImageConfig, args string) error {
	h := &dockerspec.HealthcheckConfig{}
	durations := map[string]*time.Duration{
		"--interval": &h.Interval, "--timeout": &h.Timeout, "--start-period": &h.StartPeriod, "--start-interval": &h.StartInterval,
	}
	for strings.HasPrefix(args, "--") {
		flag, rest, _ := strings.Cut(args, " ")
		name, value, _ := strings.Cut(flag, "=")
		args = strings.TrimSpace(rest)
		if name == "--retries" {
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n < 0 {
				return invalid("--retries cannot be %q", value)
			}
			h.Retries = int(n)
			continue
		}
		d, err := time.ParseDuration(value)
		if durations[name] == nil {
			return invalid("unknown flag: %s", strings.TrimPrefix(name, "--"))
		}
		if err != nil || d < 0 || d > 0 && d < time.Millisecond {
			return invalid("%s cannot be %q", name, value)
		}
		*durations[name] = d
	}
	kind, command, _ := strings.Cut(args, " ")
	command = strings.TrimSpace(command)
	switch strings.ToUpper(kind) {
	case "NONE":
		h.Test = []string{"NONE"}
	case "CMD":
		if command == "" {
			return invalid("missing command after HEALTHCHECK CMD")
		}
		if list, ok := jsonList(command); ok {
			h.Test = append([]string{"CMD"}, list...)
		} else {
			h.Test = []string{"CMD-SHELL", command}
		}
	default:
		return invalid("unknown type %q in HEALTHCHECK (try CMD)", kind)
	}
	c.Healthcheck = h
	return nil
}
