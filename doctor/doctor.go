// Package doctor says what a host has and lacks for sandboxes, what a lack costs, and the command that mends it. It tries
// things out where it can, in namespaces of its own, rather than trusting version numbers.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Status of a check.
type Status string

// The statuses, from best to worst.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // works, at a cost that Detail names
	Missing  Status = "missing"
)

// Check is one line of the report.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Must   bool   `json:"must"`             // nothing runs while it is missing
	Detail string `json:"detail,omitempty"` // what was found, or what the lack costs
	Mend   string `json:"mend,omitempty"`   // a command, or what to do
}

// String is the check in one line.
func (c Check) String() string {
	s := fmt.Sprintf("%s: %s: %s", c.Name, c.Status, c.Detail)
	if c.Mend != "" {
		s += " (" + c.Mend + ")"
	}
	return s
}

// Config says where the server will work. The zero value of a field stands for the default.
type Config struct {
	DataDir string   // default /var/lib/berth; need not exist yet
	Runc    string   // default: next to this program, else in PATH
	Docker  []string // paths of the docker command and its plugins; none: not looked for
	Reserve int64    // bytes that must be free in DataDir; default 1 GiB
	Probe   []string // command that calls Probe; default this program with the argument "doctor-probe"
}

// ErrMissing is what Musts returns, wrapped.
var ErrMissing = errors.New("this host cannot run sandboxes")

const defaultReserve = 1 << 30

func (c Config) withDefaults() Config {
	if c.DataDir == "" {
		c.DataDir = "/var/lib/berth"
	}
	if c.Reserve == 0 {
		c.Reserve = defaultReserve
	}
	if len(c.Probe) == 0 {
		c.Probe = []string{"/proc/self/exe", "doctor-probe"}
	}
	return c
}

// Run makes all checks, at the same time, and returns them in a fixed order. It takes about 0.1 s.
func Run(ctx context.Context, c Config) []Check {
	c = c.withDefaults()
	if os.Geteuid() != 0 {
		return []Check{{
			Name: "root", Status: Missing, Must: true, Detail: "namespaces, cgroups and mounts need it", Mend: "run with sudo",
		}}
	}
	groups := []func(context.Context, Config) []Check{
		kernel, controlGroups, namespaces, sandboxParts, networkParts, forwarding, runc, docker, space, memory, seccomp,
	}
	results := make([][]Check, len(groups))
	var wg sync.WaitGroup
	for i, group := range groups {
		wg.Go(func() { results[i] = group(ctx, c) })
	}
	wg.Wait()
	var all []Check
	for _, r := range results {
		all = append(all, r...)
	}
	return all
}

// Musts returns ErrMissing with one line for each thing without which no sandbox can run; nil when all are there.
func Musts(ctx context.Context, c Config) error {
	var lines []string
	for _, check := range Run(ctx, c) {
		if check.Must && check.Status == Missing {
			lines = append(lines, check.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrMissing, strings.Join(lines, "; "))
}
