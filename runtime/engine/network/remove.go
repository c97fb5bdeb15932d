package network

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	eventtypes "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"berth/runtime/engine/filter"
)

// Remove deletes a network, found as Inspect does, with its bridge. It waits until interfaces of containers that have left
// are gone. ErrPermissionDenied: containers are in it, or it is one that is always there.
func (m *Manager) Remove(ctx context.Context, ref string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s, err := m.retire(ref)
	if err != nil {
		return err
	}
	m.quiet(s)
	if err := m.takeDown(s); err != nil {
		return fmt.Errorf("error while removing network: %w", errors.Join(err, m.reinstate(s)))
	}
	m.tell(eventtypes.ActionDestroy, s, nil)
	return nil
}

// retire takes a network out of what is kept. From then on nobody can join it.
func (m *Manager) retire(ref string) (*segment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.find(ref)
	switch {
	case err != nil:
		return nil, err
	case s.predefined():
		return nil, forbidden("%s is a pre-defined network and cannot be removed", s.Name)
	case len(s.endpoints) > 0:
		return nil, forbidden("error while removing network: network %s has active endpoints (%s)", s.Name, strings.Join(s.active(), ", "))
	}
	delete(m.segments, s.ID)
	if err := m.save(); err != nil {
		m.segments[s.ID] = s
		return nil, err
	}
	s.removed = true
	return s, nil
}

// reinstate puts a network back that could not be removed.
func (m *Manager) reinstate(s *segment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.removed = false
	m.segments[s.ID] = s
	return m.save()
}

// active names the containers in a network. Manager.mu is held.
func (s *segment) active() []string {
	var names []string
	for _, e := range s.endpoints {
		names = append(names, fmt.Sprintf("name:%q id:%q", e.member.join.Name, short(e.id)))
	}
	slices.Sort(names)
	return names
}

// Prune removes the networks that have no container and pass the filters label and until.
func (m *Manager) Prune(ctx context.Context, f filter.Args) (network.PruneReport, error) {
	report := network.PruneReport{NetworksDeleted: []string{}}
	if err := f.Only("label", "label!", "until"); err != nil {
		return report, err
	}
	until, err := untilOf(f)
	if err != nil {
		return report, err
	}
	m.mu.Lock()
	var unused []record
	for _, s := range m.segments {
		if !s.predefined() && len(s.endpoints) == 0 && s.Created.Before(until) && f.Labels(s.Labels) {
			unused = append(unused, s.record)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(unused, func(a, b record) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range unused {
		err := m.Remove(ctx, r.ID)
		if errdefs.IsPermissionDenied(err) || errdefs.IsNotFound(err) { // joined or removed meanwhile
			continue
		}
		if err != nil {
			return report, err
		}
		report.NetworksDeleted = append(report.NetworksDeleted, r.Name)
	}
	m.o.Events.Publish(eventtypes.NetworkEventType, eventtypes.ActionPrune, "", map[string]string{"reclaimed": "0"})
	return report, nil
}

// untilOf reads the filter until: a duration before now, a Unix time, or RFC 3339. Without one: now.
func untilOf(f filter.Args) (time.Time, error) {
	values := f.Values("until")
	if len(values) == 0 {
		return time.Now(), nil
	}
	if len(values) > 1 {
		return time.Time{}, invalid("more than one until filter specified")
	}
	v := values[0]
	if d, err := time.ParseDuration(v); err == nil {
		return time.Now().Add(-d), nil
	}
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return time.Time{}, invalid("invalid until filter: %q", v)
	}
	return t, nil
}
