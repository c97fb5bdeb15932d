package sandbox

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"berth/quotas/network"
	"berth/sessions"
)

// Sweep removes all that is named after an ID that is neither in keep nor being launched.
func (l *Launcher) Sweep(ctx context.Context, keep []sessions.ID) (removed []sessions.ID, err error) {
	found, err := l.remnants()
	for _, id := range found {
		l.mu.Lock()
		skip := l.making[id] || slices.Contains(keep, id)
		l.mu.Unlock()
		if skip {
			continue
		}
		if e := l.remove(ctx, id); e != nil {
			err = errors.Join(err, e)
			continue
		}
		removed = append(removed, id)
	}
	return removed, errors.Join(err, l.sweepPrograms())
}

// remnants lists every ID that something of ours on this host is named after.
func (l *Launcher) remnants() ([]sessions.ID, error) {
	var ids []sessions.ID
	var failed error
	add := func(names []string, err error) {
		failed = errors.Join(failed, err)
		for _, n := range names {
			if id := sessions.ID(n); id.Valid() && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	add(entries(l.RunDir))
	add(entries(l.disksDir()))
	add(l.Cgroups.List())
	links, err := l.Network.List()
	add(linkIDs(links), err)
	leases, err := l.leases()
	add(leases, err)
	return ids, failed
}

// lease is the name of a sandbox's hold on its image. It carries the server's name: servers may share a cache.
func (l *Launcher) lease(id sessions.ID) string { return l.Instance + "-" + string(id) }

// leases returns the IDs of our sandboxes that hold an image.
func (l *Launcher) leases() ([]string, error) {
	all, err := l.Images.Leases()
	var ids []string
	for name := range all {
		if id, ours := strings.CutPrefix(name, l.Instance+"-"); ours {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func linkIDs(links []network.Owned) []string {
	ids := make([]string, len(links))
	for i, o := range links {
		ids[i] = o.ID
	}
	return ids
}

func entries(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, err
}
