package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindRunc returns the runc to use: path where it is given, else the one next to this program, else the one in PATH.
func FindRunc(path string) (string, error) {
	if path != "" {
		return exec.LookPath(path)
	}
	if self, err := os.Executable(); err == nil {
		if found, err := exec.LookPath(filepath.Join(filepath.Dir(self), "runc")); err == nil {
			return found, nil
		}
	}
	return exec.LookPath("runc")
}

func runc(ctx context.Context, c Config) []Check {
	const mend = "make build makes bin/runc of a good version"
	check := Check{Name: "runc", Must: true, Status: OK}
	path, err := FindRunc(c.Runc)
	if err != nil {
		check.Status, check.Detail, check.Mend = Missing, "not next to berth and not in PATH", mend
		return []Check{check}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output() // #nosec G204 -- the operator's choice
	if err != nil {
		check.Status, check.Detail, check.Mend = Missing, fmt.Sprintf("%s --version: %v", path, err), mend
		return []Check{check}
	}
	v, err := runcVersion(string(out))
	if err == nil {
		err = safe(v)
	}
	if err != nil {
		check.Status, check.Detail, check.Mend = Missing, fmt.Sprintf("%s: %v", path, err), mend
		return []Check{check}
	}
	check.Detail = path + " " + v
	return []Check{check}
}

// runcVersion finds the version in "runc version 1.3.3\ncommit: …".
func runcVersion(out string) (string, error) {
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "runc version "); ok {
			return v, nil
		}
	}
	return "", fmt.Errorf("does not say its version: %.80q", out)
}

// safe refuses versions in which a container can get out of runc (CVE-2025-31133, -52565, -52881): the first fixed ones are
// 1.2.8, 1.3.3 and 1.4.0. A release candidate of these counts as older.
func safe(s string) error {
	v, err := parseVersion(s)
	if err != nil {
		return err
	}
	fixed := version{1, 4, 0}
	switch {
	case v[0] == 1 && v[1] == 2:
		fixed = version{1, 2, 8}
	case v[0] == 1 && v[1] == 3:
		fixed = version{1, 3, 3}
	}
	if v.less(fixed) || v == fixed && strings.Contains(s, "-rc") {
		return fmt.Errorf("version %s lets containers out (CVE-2025-31133, -52565, -52881): want 1.2.8, 1.3.3, 1.4.0 or later", s)
	}
	return nil
}
