package sessions

import (
	"errors"
	"fmt"
	"regexp"
)

var (
	environmentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
	hostLabel       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // RFC 1123
)

// spec is what a sandbox of the environment is made from.
func (m *Manager) spec(e Environment) Spec {
	return Spec{Image: e.Image, Hostname: e.Hostname, Env: e.Env, Shell: e.Shell, Limits: e.Limits, Build: m.cfg.Build}
}

// Validate reports the first thing that cannot work, by its name.
func (e Environment) Validate() error {
	switch {
	case !environmentName.MatchString(e.Name):
		return fmt.Errorf("name %q: use up to 63 lower-case letters, digits, dots, dashes and underscores", e.Name)
	case e.Image == "":
		return errors.New("image is missing")
	case e.Hostname != "" && !hostLabel.MatchString(e.Hostname):
		return fmt.Errorf("hostname %q: use up to 63 lower-case letters, digits and dashes", e.Hostname)
	case e.Lifetime <= 0:
		return errors.New("lifetime must be more than 0")
	case e.MaxLifetime < e.Lifetime:
		return fmt.Errorf("max_lifetime is %s: it must not be less than lifetime, %s", e.MaxLifetime, e.Lifetime)
	case e.IdleTimeout < 0:
		return errors.New("idle_timeout is negative")
	case e.Pool < 0:
		return errors.New("pool is negative")
	}
	if err := e.Limits.Validate(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

func validateEnvironments(list []Environment) error {
	if len(list) == 0 {
		return errors.New("there is no environment: add one to environments.yaml")
	}
	seen := make(map[string]bool)
	for i, e := range list {
		switch err := e.Validate(); {
		case err != nil:
			return fmt.Errorf("environment %s: %w", orSentence(e.Name, fmt.Sprint(i+1)), err)
		case seen[e.Name]:
			return fmt.Errorf("environment %s is there twice", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}
