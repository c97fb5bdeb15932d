package dockerapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Filters are the conditions of a list: names to the values of which one must hold.
type Filters map[string][]string

// ParseFilters reads the query parameter filters, {"name":["value"]} or as old clients write it {"name":{"value":true}}, and
// refuses names that are not among accepted.
func ParseFilters(r *http.Request, accepted ...string) (Filters, error) {
	raw := r.URL.Query().Get("filters")
	if raw == "" {
		return Filters{}, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &values); err != nil {
		return nil, Invalid("invalid filter: %s", plain(err))
	}
	f := Filters{}
	for name, v := range values {
		if !slices.Contains(accepted, name) {
			return nil, Invalid("invalid filter '%s'", name)
		}
		var list []string
		if json.Unmarshal(v, &list) != nil {
			var set map[string]bool
			if err := json.Unmarshal(v, &set); err != nil {
				return nil, Invalid("invalid filter: %s", plain(err))
			}
			for s, on := range set {
				if on {
					list = append(list, s)
				}
			}
			slices.Sort(list)
		}
		f[name] = list
	}
	return f, nil
}

// Has reports whether there is a condition of this name.
func (f Filters) Has(name string) bool { return len(f[name]) > 0 }

// Match reports whether there is no condition of this name, or one that some of the values satisfies.
func (f Filters) Match(name string, ok func(want string) bool) bool {
	return !f.Has(name) || slices.ContainsFunc(f[name], ok)
}

// Exact is Match by equality.
func (f Filters) Exact(name string, values ...string) bool {
	return f.Match(name, func(want string) bool { return slices.Contains(values, want) })
}

// Labels reports whether all conditions "label" hold, KEY or KEY=VALUE, and none of "label!".
func (f Filters) Labels(labels map[string]string) bool {
	has := func(want string) bool {
		key, value, pair := strings.Cut(want, "=")
		have, ok := labels[key]
		return ok && (!pair || have == value)
	}
	for _, want := range f["label"] {
		if !has(want) {
			return false
		}
	}
	return !slices.ContainsFunc(f["label!"], has)
}

// Bool reads a condition that is true or false. ok is false where there is none.
func (f Filters) Bool(name string) (value, ok bool, err error) {
	if !f.Has(name) {
		return false, false, nil
	}
	switch f[name][0] {
	case "1", "true":
		return true, true, nil
	case "0", "false":
		return false, true, nil
	}
	return false, false, Invalid("invalid filter '%s=%s'", name, f[name][0])
}

// Flag reads a boolean query parameter as Docker does: anything but an empty value, 0, no, false and none is true.
func Flag(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
