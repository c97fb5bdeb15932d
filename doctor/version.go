package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// version is major, minor, patch.
type version [3]int

// parseVersion reads the numbers that a version starts with: "6.1.0-18-amd64", "1.3.3+dev".
func parseVersion(s string) (version, error) {
	var v version
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		s = s[:end]
	}
	for i, part := range strings.SplitN(s, ".", len(v)) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return v, fmt.Errorf("version %q: %w", s, err)
		}
		v[i] = n
	}
	return v, nil
}

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}
