package dockerapi

import (
	"net/http"
	"strings"
)

// Flag reads a boolean query parameter as Docker does: anything but an empty value, 0, no, false and none is true.
func Flag(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
