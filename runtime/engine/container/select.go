package container

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"

	"berth/runtime/engine/filter"
)

// ListOptions select containers.
type ListOptions struct {
	All     bool // also those that do not run
	Limit   int  // the newest so many, whether they run or not; 0: no limit
	Size    bool
	Filters filter.Args
}

// listFilters are the ones that Docker knows.
var listFilters = []string{
	"ancestor", "before", "exited", "id", "isolation", "label", "name", "status", "health", "since", "volume", "network", "is-task",
	"publish", "expose",
}

// selection is what List goes by.
type selection struct {
	o              ListOptions
	f              filter.Args
	exited         []int
	before, since  string          // IDs
	images         map[string]bool // nil: any
	publish, expos map[string]bool
}

func (m *Manager) selection(ctx context.Context, o ListOptions) (*selection, error) {
	s := &selection{o: o, f: o.Filters}
	if err := s.f.Only(listFilters...); err != nil {
		return nil, err
	}
	for _, v := range s.f.Values("exited") {
		code, err := strconv.Atoi(v)
		if err != nil {
			return nil, invalid("invalid filter 'exited=%s': %v", v, err)
		}
		s.exited = append(s.exited, code)
	}
	for _, v := range s.f.Values("status") {
		if err := api.ValidateContainerState(api.ContainerState(v)); err != nil {
			return nil, invalid("invalid filter 'status=%s': %v", v, err)
		}
		s.o.All = true
	}
	for _, v := range s.f.Values("health") {
		if err := api.ValidateHealthStatus(api.HealthStatus(v)); err != nil {
			return nil, invalid("invalid filter 'health=%s': %v", v, err)
		}
	}
	if _, err := s.f.Bool("is-task", false); err != nil {
		return nil, err
	}
	for _, other := range []struct {
		name string
		to   *string
	}{{"before", &s.before}, {"since", &s.since}} {
		for _, v := range s.f.Values(other.name) {
			c, err := m.Get(v)
			if err != nil {
				return nil, err
			}
			*other.to = c.id
		}
	}
	var err error
	if s.publish, err = portSet(s.f, "publish"); err != nil {
		return nil, err
	}
	if s.expos, err = portSet(s.f, "expose"); err != nil {
		return nil, err
	}
	m.ancestors(ctx, s)
	return s, nil
}

// ancestors finds the images that containers are to be made from, or from an image that was committed on it.
func (m *Manager) ancestors(ctx context.Context, s *selection) {
	if !s.f.Has("ancestor") {
		return
	}
	s.images = map[string]bool{}
	for _, v := range s.f.Values("ancestor") {
		if image, err := m.o.Images.Get(ctx, v); err == nil {
			s.images[image.ID] = true
		}
	}
	checked := map[string]bool{}
	for _, c := range m.all() {
		for id := c.rec.ImageID; id != "" && !checked[id]; {
			checked[id] = true
			image, err := m.o.Images.Get(ctx, id)
			if err != nil {
				break
			}
			if s.images[image.Parent] {
				s.images[c.rec.ImageID] = true
				break
			}
			id = image.Parent
		}
	}
}

func portSet(f filter.Args, name string) (map[string]bool, error) {
	if !f.Has(name) {
		return nil, nil
	}
	set := map[string]bool{}
	for _, v := range f.Values(name) {
		if strings.Contains(v, ":") {
			return nil, invalid("filter for '%s' should not contain ':': %s", name, v)
		}
		r, err := apinet.ParsePortRange(v)
		if err != nil {
			return nil, invalid("error while looking up for %s %s: %v", name, v, err)
		}
		for p := range r.All() {
			set[p.String()] = true
		}
	}
	return set, nil
}

// takes reports whether a container, of a list with the newest first, is selected, and whether the list is over before it.
func (s *selection) takes(c *Container, have int) (take, over bool) {
	if s.before != "" {
		if c.id == s.before {
			s.before = ""
		}
		return false, false
	}
	if c.id == s.since && s.since != "" {
		return false, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &c.rec.State
	if !st.Running && !s.o.All && s.o.Limit <= 0 {
		return false, false
	}
	name := c.rec.Name
	if !s.f.Match("name", name) && !s.f.Match("name", "/"+name) || !s.f.Prefix("id", c.id) || !s.f.Labels(c.rec.Config.Labels) {
		return false, false
	}
	if task, err := s.f.Bool("is-task", false); err != nil || task {
		return false, false // there are no services here
	}
	if s.o.Limit > 0 && have == s.o.Limit {
		return false, true
	}
	return s.state(st) && s.belongs(c), false
}

func (s *selection) state(st *state) bool {
	if len(s.exited) > 0 && (st.Running || st.StartedAt.IsZero() || !slices.Contains(s.exited, st.ExitCode)) {
		return false
	}
	health := api.NoHealthcheck
	if st.Health != nil {
		health = st.Health.Status
	}
	return s.f.Exact("status", string(st.status())) && s.f.Exact("health", string(health))
}

// belongs looks at what the container is connected with. c.mu is held.
func (s *selection) belongs(c *Container) bool {
	if s.images != nil && !s.images[c.rec.ImageID] {
		return false
	}
	if s.f.Has("volume") && !slices.ContainsFunc(c.rec.Mounts, func(p *mountPoint) bool {
		v := s.f["volume"]
		return v[p.Destination] || p.Name != "" && v[p.Name] || p.Name == "" && v[p.Source]
	}) {
		return false
	}
	if s.f.Has("network") && !s.inNetwork(c) {
		return false
	}
	if s.publish == nil && s.expos == nil {
		return true
	}
	return slices.ContainsFunc(c.portSummaries(), func(p api.PortSummary) bool {
		return s.publish[fmt.Sprintf("%d/%s", p.PublicPort, p.Type)] || s.expos[fmt.Sprintf("%d/%s", p.PrivatePort, p.Type)]
	})
}

func (s *selection) inNetwork(c *Container) bool {
	for _, want := range s.f.Values("network") {
		if _, ok := c.rec.Endpoints[want]; ok {
			return true
		}
		for _, e := range c.rec.Endpoints {
			if e != nil && e.NetworkID != "" && strings.HasPrefix(e.NetworkID, want) {
				return true
			}
		}
	}
	return false
}
