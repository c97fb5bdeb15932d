// Package filter reads the filters of Docker's API: what a list is narrowed to, {"label":{"a=b":true}} as JSON in a query.
package filter

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Args are filters: name → values. The zero value filters nothing out.
type Args map[string]map[string]bool

// Parse reads the query parameter "filters". Clients from before API 1.22 send lists of values.
func Parse(s string) (Args, error) {
	if s == "" {
		return nil, nil
	}
	var args Args
	err := json.Unmarshal([]byte(s), &args)
	if err == nil {
		return args, nil
	}
	var lists map[string][]string
	if json.Unmarshal([]byte(s), &lists) != nil {
		return nil, errdefs.ErrInvalidArgument.WithMessage("invalid filter: " + err.Error())
	}
	args = Args{}
	for name, values := range lists {
		args[name] = map[string]bool{}
		for _, v := range values {
			args[name][v] = true
		}
	}
	return args, nil
}

// Only refuses filters other than names.
func (a Args) Only(names ...string) error {
	for name := range a {
		if !slices.Contains(names, name) {
			return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid filter '%s'", name))
		}
	}
	return nil
}

// Has reports whether there is a filter of the name.
func (a Args) Has(name string) bool { return len(a[name]) > 0 }

// Values are a filter's values, sorted.
func (a Args) Values(name string) []string {
	values := make([]string, 0, len(a[name]))
	for v := range a[name] {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

// Bool is the value of a filter such as dangling, or otherwise where it is not given.
func (a Args) Bool(name string, otherwise bool) (bool, error) {
	values := a.Values(name)
	if len(values) == 0 {
		return otherwise, nil
	}
	b, err := strconv.ParseBool(values[0])
	if err != nil || len(values) > 1 {
		return false, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid filter '%s=%s'", name, values[0]))
	}
	return b, nil
}

// Exact reports whether the filter is absent or has the value.
func (a Args) Exact(name, value string) bool { return !a.Has(name) || a[name][value] }

// Prefix reports whether the filter is absent or one of its values begins value: short IDs.
func (a Args) Prefix(name, value string) bool {
	return !a.Has(name) || slices.ContainsFunc(a.Values(name), func(v string) bool { return strings.HasPrefix(value, v) })
}

// Match reports whether the filter is absent or one of its values, a regular expression as in Docker, is found in value.
func (a Args) Match(name, value string) bool {
	return !a.Has(name) || slices.ContainsFunc(a.Values(name), func(v string) bool {
		re, err := regexp.Compile(v)
		return v == value || err == nil && re.MatchString(value)
	})
}

// Labels reports whether the labels have all that "label" asks for, and none of "label!": a key, or key=value.
func (a Args) Labels(labels map[string]string) bool {
	has := func(want string) bool {
		key, value, withValue := strings.Cut(want, "=")
		got, ok := labels[key]
		return ok && (!withValue || got == value)
	}
	for want := range a["label"] {
		if !has(want) {
			return false
		}
	}
	for not := range a["label!"] {
		if has(not) {
			return false
		}
	}
	return true
}
