package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/doctor"
)

const probeVar = "BERTH_TEST_PROBE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == probeVar {
		if err := doctor.Probe(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// config is a host where all is right: a good runc, and a data directory that is not there yet.
func config(t testing.TB) doctor.Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds the skeleton of a sandbox")
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if left, err := filepath.Glob(filepath.Join(dir, ".berth-doctor-*")); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})
	return doctor.Config{
		DataDir: filepath.Join(dir, "not", "there"), Runc: fakeRunc(t, "1.3.3"), Probe: []string{"/proc/self/exe", probeVar},
	}
}

func fakeRunc(t testing.TB, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runc")
	script := fmt.Sprintf("#!/bin/sh\necho 'runc version %s'\necho 'commit: v1'\n", version)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func find(t testing.TB, checks []doctor.Check, name string) doctor.Check {
	t.Helper()
	i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %q in %v", name, checks)
	}
	return checks[i]
}

func TestAGoodHost(t *testing.T) {
	c := config(t)
	start := time.Now()
	checks := doctor.Run(t.Context(), c)
	t.Log(time.Since(start))
	for _, check := range checks {
		t.Log(check)
		if check.Must && check.Status == doctor.Missing {
			t.Errorf("%s", check)
		}
		if check.Status == doctor.Missing && check.Mend == "" {
			t.Errorf("no word on how to mend %s", check)
		}
	}
	for _, name := range []string{"kernel", "cgroups", "user namespaces", "session disks", "idmapped mounts", "overlay", "network", "forwarding", "runc", "disk", "memory", "seccomp"} {
		find(t, checks, name)
	}
	if err := doctor.Musts(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestRuncVersions(t *testing.T) {
	c := config(t)
	for version, good := range map[string]bool{
		"1.1.5+ds1": false, "1.2.7": false, "1.2.8": true, "1.3.2": false, "1.3.3": true, "1.4.0-rc.3": false, "1.4.0": true,
		"1.5.2": true, "1.10.0": true, "2.0.0": true, "0.9": false, "unknown": false,
	} {
		c.Runc = fakeRunc(t, version)
		err := doctor.Musts(t.Context(), c)
		if good != (err == nil) || err != nil && !strings.Contains(err.Error(), "runc: missing") {
			t.Errorf("%s: %v", version, err)
		}
	}
	c.Runc = filepath.Join(t.TempDir(), "none")
	if err := doctor.Musts(t.Context(), c); !errors.Is(err, doctor.ErrMissing) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("no runc: %v", err)
	}
}

func TestLacksAreNamed(t *testing.T) {
	c := config(t)
	full := c
	full.Reserve = 1 << 60
	if check := find(t, doctor.Run(t.Context(), full), "disk"); check.Status != doctor.Missing || check.Mend == "" {
		t.Errorf("%s", check)
	}
	// tmpfs has idmapped mounts from 6.3 on, proc never has.
	proc := c
	proc.DataDir = "/proc"
	checks := doctor.Run(t.Context(), proc)
	if check := find(t, checks, "session disks"); check.Status != doctor.Missing {
		t.Errorf("%s", check)
	}
	if check := find(t, checks, "overlay"); check.Status != doctor.Missing || !strings.Contains(check.Detail, "not tried") {
		t.Errorf("%s", check)
	}
	broken := c
	broken.Probe = []string{"/bin/false"}
	if check := find(t, doctor.Run(t.Context(), broken), "overlay"); check.Status != doctor.Missing {
		t.Errorf("%s", check)
	}
}

func TestEndedContextIsNoHost(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config(t)
	if err := doctor.Musts(ctx, c); !errors.Is(err, doctor.ErrMissing) {
		t.Errorf("with an ended context: %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	c := config(b)
	for b.Loop() {
		doctor.Run(b.Context(), c)
	}
}
