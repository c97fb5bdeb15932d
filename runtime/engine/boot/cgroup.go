package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Payload is the cgroup, as containers name it, below which every container of the sandbox stands. Its limits are those
// of the sandbox less what the engine keeps, so that a fork or memory bomb leaves the engine able to say what happened.
const Payload = "/payload"

// engineLeaf is where PID 1 itself stands on v2: a cgroup with children that have controllers may hold no process
// (cgroups(7), "no internal processes").
const engineLeaf = "engine"

// SplitCgroup makes the payload cgroup and sets its limits.
func SplitCgroup(b Budget) error {
	if _, err := os.Stat(filepath.Join(Cgroup, "cgroup.controllers")); err == nil {
		return splitUnified(b)
	}
	return splitV1(b)
}

func splitUnified(b Budget) error {
	leaf, payload := filepath.Join(Cgroup, engineLeaf), Cgroup+Payload
	if err := errors.Join(os.Mkdir(leaf, 0o755), os.Mkdir(payload, 0o755)); err != nil {
		return err
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return err
	}
	have, err := os.ReadFile(filepath.Join(Cgroup, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, dir := range []string{Cgroup, payload} {
		for _, c := range strings.Fields(string(have)) {
			if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		write(filepath.Join(payload, "memory.max"), strconv.FormatInt(b.MemoryBytes, 10)),
		write(filepath.Join(payload, "pids.max"), strconv.FormatInt(b.PIDs, 10)),
	)
}

func splitV1(b Budget) error {
	entries, err := os.ReadDir(Cgroup)
	if err != nil {
		return err
	}
	for _, e := range entries {
		payload := filepath.Join(Cgroup, e.Name()) + Payload
		if err := os.Mkdir(payload, 0o755); err != nil {
			return err
		}
		for _, c := range strings.Split(e.Name(), ",") {
			if err := limitV1(c, filepath.Dir(payload), payload, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func limitV1(controller, parent, payload string, b Budget) error {
	switch controller {
	case "memory":
		return write(filepath.Join(payload, "memory.limit_in_bytes"), strconv.FormatInt(b.MemoryBytes, 10))
	case "pids":
		return write(filepath.Join(payload, "pids.max"), strconv.FormatInt(b.PIDs, 10))
	case "cpuset": // an empty cpuset holds no process: cpuset(7)
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			v, err := os.ReadFile(filepath.Join(parent, f))
			if err != nil {
				return err
			}
			if err := write(filepath.Join(payload, f), strings.TrimSpace(string(v))); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes a kernel file at once: cgroup files take one value per write(2) and must not be created.
func write(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	_, err = unix.Write(fd, []byte(value))
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}
