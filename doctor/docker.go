package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// docker looks for the docker command and its plugins. They run in sessions only, so nothing is asked of them here.
func docker(_ context.Context, c Config) []Check {
	if len(c.Docker) == 0 {
		return nil
	}
	check := Check{Name: "docker command", Status: OK, Detail: c.Docker[0]}
	var missing []string
	for _, path := range c.Docker {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, filepath.Base(path))
		}
	}
	if len(missing) > 0 {
		check.Status, check.Mend = Degraded, "make build makes them in bin/; --docker-dir names another directory"
		check.Detail = fmt.Sprintf("sessions have no %s: not in %s", strings.Join(missing, ", "), filepath.Dir(c.Docker[0]))
	}
	return []Check{check}
}
