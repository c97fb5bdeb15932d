package image

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
)

// Tag gives an image another name. The image that had it keeps its others.
func (s *Store) Tag(ctx context.Context, ref, repo, tag string) error {
	full, err := parseTag(repo, tag)
	if err != nil {
		return err
	}
	img, err := s.local(ctx, ref)
	if err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.records(ctx)
	if err != nil {
		return err
	}
	r := all[img.ID]
	if r == nil { // removed meanwhile
		return noSuchImage(ref)
	}
	if err := s.setName(scoped(ctx), full, img.ID, r.target); err != nil {
		return err
	}
	s.tell(events.ActionTag, img.ID, familiar(full), img.Config)
	return nil
}

// local is Get, with an image that only the host's catalogue has made one of this session.
func (s *Store) local(ctx context.Context, ref string) (Image, error) {
	img, err := s.Get(ctx, ref)
	if err != nil || !img.Shared {
		return img, err
	}
	return s.adopt(ctx, img.ID)
}

// RemoveOptions are those of `docker rmi`.
type RemoveOptions struct {
	Force   bool
	NoPrune bool // keep parents that have no name
}

// Remove takes a name off an image, or with an ID all of it; and then what nothing needs any more.
func (s *Store) Remove(ctx context.Context, ref string, o RemoveOptions) ([]image.DeleteResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	r, err := lookup(all, ref)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return s.hide(ref)
	}
	removal := removal{Store: s, all: all, options: o, ref: ref}
	if name, err := parseName(ref); err == nil && (slices.Contains(r.names, name.String()) || slices.Contains(r.digests, name.String())) {
		err = removal.name(scoped(ctx), r, name)
		return removal.done, errors.Join(err, s.collectNow(ctx))
	}
	err = removal.image(scoped(ctx), r)
	return removal.done, errors.Join(err, s.collectNow(ctx))
}

// hide makes the names of an image of the host's catalogue unknown in this session: what was removed shall not be there.
func (s *Store) hide(ref string) ([]image.DeleteResponse, error) {
	img, ok, err := s.available(ref)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchImage(ref)
	}
	names := img.Names
	if name, err := parseName(ref); err == nil && slices.Contains(names, familiar(name.String())) {
		names = []string{familiar(name.String())}
	}
	var done []image.DeleteResponse
	for _, n := range names {
		s.hideName(n)
		done = append(done, image.DeleteResponse{Untagged: n})
	}
	return done, nil
}

func (s *Store) hideName(name string) {
	if full, err := parseName(name); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hidden[full.String()] = true
	}
}

// removal is one call of Remove or Prune.
type removal struct {
	*Store
	all     map[string]*record
	options RemoveOptions
	ref     string // as it was asked for
	done    []image.DeleteResponse
}

// name takes one name off; with the last one, the image goes.
func (r *removal) name(ctx context.Context, rec *record, name reference.Named) error {
	full := name.String()
	last := len(rec.names) == 1 && slices.Contains(rec.names, full) || len(rec.names) == 0 && len(rec.digests) == 1
	users := r.InUse(rec.id)
	if last && len(users) > 0 && !r.options.Force {
		return conflict("conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			r.ref, short(users[0].ID), short(rec.id))
	}
	if err := r.untag(ctx, rec, full); err != nil {
		return err
	}
	// Digests of a repository go with its last tag, as classic Docker has it.
	if !slices.ContainsFunc(rec.names, inRepository(name)) {
		for _, d := range slices.Clone(rec.digests) {
			if !inRepository(name)(d) {
				continue
			}
			if err := r.untag(ctx, rec, d); err != nil {
				return err
			}
		}
	}
	if len(rec.names)+len(rec.digests) > 0 || len(users) > 0 {
		return nil // it stays for them, for its containers also without a name
	}
	return r.drop(ctx, rec)
}

// image removes an image with all its names.
func (r *removal) image(ctx context.Context, rec *record) error {
	if len(rec.names) > 1 && !r.options.Force {
		return conflict("conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", short(rec.id))
	}
	for _, u := range r.InUse(rec.id) {
		if u.Running {
			return conflict("conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", short(rec.id), short(u.ID))
		}
		if !r.options.Force {
			return conflict("conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", short(rec.id), short(u.ID))
		}
	}
	if len(r.childrenOf(rec.id)) > 0 {
		return conflict("conflict: unable to delete %s (cannot be forced) - image has dependent child images", short(rec.id))
	}
	for _, n := range append(slices.Clone(rec.names), rec.digests...) {
		if err := r.untag(ctx, rec, n); err != nil {
			return err
		}
	}
	return r.drop(ctx, rec)
}

func (r *removal) childrenOf(id string) (ids []string) {
	for _, o := range r.all {
		if o.parent == id {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// untag removes one name's record.
func (r *removal) untag(ctx context.Context, rec *record, full string) error {
	config, err := r.config(ctx, rec.id)
	if err != nil {
		return err
	}
	if err := r.images.Delete(ctx, full); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	gone := func(n string) bool { return n == full }
	rec.names, rec.digests = slices.DeleteFunc(rec.names, gone), slices.DeleteFunc(rec.digests, gone)
	r.hideName(full)
	r.done = append(r.done, image.DeleteResponse{Untagged: familiar(full)})
	r.tell(events.ActionUnTag, rec.id, familiar(full), config)
	return nil
}

// drop removes an image's own record, and parents that only it needed. Layers, which classic Docker names by their chain,
// go with the next collection.
func (r *removal) drop(ctx context.Context, rec *record) error {
	if len(r.childrenOf(rec.id)) > 0 {
		return nil // it stays, without a name, for the images that were made of it
	}
	config, err := r.config(ctx, rec.id)
	if err != nil {
		return err
	}
	if err := r.images.Delete(ctx, ownRecord+rec.id); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	delete(r.all, rec.id)
	r.forgetConfig(rec.id)
	r.done = append(r.done, image.DeleteResponse{Deleted: rec.id})
	r.tell(events.ActionDelete, rec.id, rec.id, config)
	parent := r.all[rec.parent]
	if parent == nil || r.options.NoPrune || len(parent.names)+len(parent.digests) > 0 || len(r.InUse(parent.id)) > 0 {
		return nil
	}
	return r.drop(ctx, parent)
}

// inRepository tells whether full names are in the repository of one.
func inRepository(of reference.Named) func(full string) bool {
	return func(full string) bool {
		n, err := reference.ParseNormalizedNamed(full)
		return err == nil && n.Name() == of.Name()
	}
}

// short is an ID as Docker shows it.
func short(id string) string {
	const digits = 12
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), digits)]
}

// PruneOptions are the conditions of `docker image prune`.
type PruneOptions struct {
	All   bool             // images that no container uses; otherwise only those that have no name
	Match func(Image) bool // nil: all
	Until time.Time        // created before; zero: any
}

// Prune removes what is not used, and returns what went and how many bytes of the session's disk are free now.
func (s *Store) Prune(ctx context.Context, o PruneOptions) ([]image.DeleteResponse, int64, error) {
	before, err := s.DiskUsage(ctx)
	if err != nil {
		return nil, 0, err
	}
	list, err := s.List(ctx)
	if err != nil {
		return nil, 0, err
	}
	done, err := s.prune(ctx, list, o)
	if err := errors.Join(err, s.dropPartials(scoped(ctx)), s.collectNow(ctx)); err != nil {
		return done, 0, err
	}
	after, err := s.DiskUsage(ctx)
	return done, max(0, before-after), err
}

func (s *Store) prune(ctx context.Context, list []Image, o PruneOptions) ([]image.DeleteResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	r := removal{Store: s, all: all, options: RemoveOptions{}}
	for _, img := range list { // newest first: children before their parents
		rec := all[img.ID]
		switch {
		case rec == nil, len(rec.names) > 0 && !o.All, len(s.InUse(img.ID)) > 0, len(r.childrenOf(img.ID)) > 0:
			continue
		case !o.Until.IsZero() && !img.Created.Before(o.Until), o.Match != nil && !o.Match(img):
			continue
		}
		for _, n := range append(slices.Clone(rec.names), rec.digests...) {
			if err := r.untag(scoped(ctx), rec, n); err != nil {
				return r.done, err
			}
		}
		if err := r.drop(scoped(ctx), rec); err != nil {
			return r.done, err
		}
	}
	s.Events.Publish(events.ImageEventType, events.ActionPrune, "", nil)
	return r.done, nil
}
