package sessions

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"berth/quotas"
)

// environmentsFile is environments.yaml, in the units that people write.
type environmentsFile struct {
	Environments []environmentEntry `yaml:"environments"`
}

type environmentEntry struct {
	Name        string      `yaml:"name"`
	Title       string      `yaml:"title"`
	Description string      `yaml:"description"`
	Image       string      `yaml:"image"`
	Hostname    string      `yaml:"hostname"`
	Env         []string    `yaml:"env"`
	Shell       []string    `yaml:"shell"`
	Limits      limitsEntry `yaml:"limits"`
	Lifetime    span        `yaml:"lifetime"`
	MaxLifetime span        `yaml:"max_lifetime"`
	IdleTimeout span        `yaml:"idle_timeout"`
	Pool        int         `yaml:"pool"`
}

type limitsEntry struct {
	CPUs      float64       `yaml:"cpus"`
	Memory    byteSize      `yaml:"memory"`
	PIDs      int64         `yaml:"pids"`
	Disk      byteSize      `yaml:"disk"`
	Inodes    int64         `yaml:"inodes"`
	Bandwidth bitRate       `yaml:"bandwidth"`
	Terminals int           `yaml:"terminals"`
	Egress    quotas.Egress `yaml:"egress"`
}

// LoadEnvironments reads environments.yaml. What is unknown, missing or cannot work is refused with its name, and its
// line where it has one; a file without an environment too.
func LoadEnvironments(r io.Reader) ([]Environment, error) {
	file, err := decodeEnvironments(r)
	if err != nil {
		return nil, err
	}
	list := make([]Environment, 0, len(file.Environments))
	for _, e := range file.Environments {
		list = append(list, e.environment())
	}
	if err := validateEnvironments(list); err != nil {
		return nil, err
	}
	return list, nil
}

// decodeEnvironments reads the YAML. go-yaml 1.19 panics over some files that make no sense, like a tag ("!x") in front of
// what is no list: fuzzing found it.
func decodeEnvironments(r io.Reader) (file environmentsFile, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("this is not the YAML of environments (%v): compare it with deploy/environments.yaml", fault)
		}
	}()
	err = yaml.NewDecoder(r, yaml.Strict()).Decode(&file)
	switch {
	case errors.Is(err, io.EOF): // empty: what is missing is told later
		err = nil
	case err != nil:
		err = yamlError(err)
	}
	return file, err
}

// LoadEnvironmentsFile reads environments.yaml from a path.
func LoadEnvironmentsFile(path string) ([]Environment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("environments: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	list, err := LoadEnvironments(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// yamlError says an error of the file in one line: "line 3: unknown field "memroy"".
func yamlError(err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		return fmt.Errorf("line %d: %s", located.GetToken().Position.Line, located.GetMessage())
	}
	return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
}

func (e environmentEntry) environment() Environment {
	l := e.Limits
	return Environment{
		Name: e.Name, Title: orSentence(e.Title, e.Name), Description: e.Description, Image: e.Image,
		Hostname: orSentence(e.Hostname, e.Name), Env: e.Env, Shell: e.Shell,
		Limits: quotas.Limits{
			CPUs: l.CPUs, MemoryBytes: int64(l.Memory), PIDs: l.PIDs, DiskBytes: int64(l.Disk), DiskInodes: l.Inodes,
			Bandwidth: int64(l.Bandwidth), Terminals: l.Terminals, Egress: l.Egress,
		},
		Lifetime: time.Duration(e.Lifetime), MaxLifetime: time.Duration(e.MaxLifetime), IdleTimeout: time.Duration(e.IdleTimeout), Pool: e.Pool,
	}
}
