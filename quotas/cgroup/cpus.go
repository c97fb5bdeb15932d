package cgroup

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// parseCPUs reads the list format of cpuset(7), "0-2,7".
func parseCPUs(s string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("list of CPUs %q: %w", s, err)
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(last); err != nil {
				return nil, fmt.Errorf("list of CPUs %q: %w", s, err)
			}
		}
		if a < 0 || b < a || b > 1<<16 {
			return nil, fmt.Errorf("list of CPUs %q: out of range", s)
		}
		for c := a; c <= b; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}

func formatCPUs(cpus []int) string {
	s := make([]string, len(cpus))
	for i, c := range cpus {
		s[i] = strconv.Itoa(c)
	}
	return strings.Join(s, ",")
}

// chooseCPUs picks ceil(want) CPUs of those that dir may use, the ones that fewest of its children use first. It keeps no
// books: what is in use is read from the groups themselves, so it is right after a restart too.
func chooseCPUs(dir string, want float64) (string, error) {
	s, err := readString(dir, allowedFile(dir))
	if err != nil {
		return "", err
	}
	allowed, err := parseCPUs(s)
	if err != nil {
		return "", err
	}
	if len(allowed) == 0 {
		return "", fmt.Errorf("control group %s may use no CPU", dir)
	}
	used := map[int]int{}
	siblings, err := filepath.Glob(filepath.Join(dir, "*", "cpuset.cpus"))
	if err != nil {
		return "", fmt.Errorf("list %s: %w", dir, err)
	}
	for _, sibling := range siblings {
		s, err := readString(filepath.Dir(sibling), "cpuset.cpus")
		if err != nil {
			continue // removed meanwhile
		}
		cpus, err := parseCPUs(s)
		if err != nil {
			return "", err
		}
		for _, c := range cpus {
			used[c]++
		}
	}
	n := min(int(math.Ceil(want)), len(allowed))
	slices.SortStableFunc(allowed, func(a, b int) int { return used[a] - used[b] })
	chosen := allowed[:n]
	slices.Sort(chosen)
	return formatCPUs(chosen), nil
}

// allowedFile names the file that lists the CPUs a group may really use: version 2 and version 1 spell it differently.
func allowedFile(dir string) string {
	if exists(filepath.Join(dir, "cpuset.cpus.effective")) {
		return "cpuset.cpus.effective"
	}
	return "cpuset.effective_cpus"
}
