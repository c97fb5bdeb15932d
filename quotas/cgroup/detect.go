package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mount is one mounted hierarchy.
type mount struct {
	point string // mount point
	root  string // the cgroup that is at the mount point
}

// dir is where the cgroup that /proc/self/cgroup calls path is visible below the mount point. In a container the mount
// may show only our own part of the tree; what is not below it is taken for the mount point itself.
func (m mount) dir(path string) string {
	rel, err := filepath.Rel(m.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return m.point
	}
	return filepath.Join(m.point, rel)
}

// readMounts returns the hierarchies below root by controller; version 2 is under "".
func readMounts(root string) (map[string]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	defer f.Close()
	return parseMounts(f, root)
}

func parseMounts(mountinfo io.Reader, root string) (map[string]mount, error) {
	mounts := map[string]mount{}
	sc := bufio.NewScanner(mountinfo)
	for sc.Scan() {
		// proc_pid_mountinfo(5): id parent dev root point options… - type source superoptions
		before, after, ok := strings.Cut(sc.Text(), " - ")
		fields, fs := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(fs) < 3 {
			continue
		}
		m := mount{root: fields[3], point: fields[4]}
		if m.point != root && !strings.HasPrefix(m.point, root+"/") {
			continue
		}
		switch fs[0] {
		case "cgroup2":
			mounts[""] = m
		case "cgroup":
			for _, o := range strings.Split(fs[2], ",") {
				if slices.Contains(delegatedV1, o) {
					mounts[o] = m
				}
			}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	if len(mounts) == 0 {
		return nil, fmt.Errorf("%w: none is mounted below %s", ErrUnsupported, root)
	}
	return mounts, nil
}

// readOwn returns this process's cgroup by controller; version 2 is under "".
func readOwn() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find our own control group: %w", err)
	}
	return parseOwn(string(b)), nil
}

func parseOwn(list string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(list) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			own[c] = parts[2]
		}
	}
	return own
}
