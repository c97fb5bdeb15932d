package dockerapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distribution/reference"
	imagetypes "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/storage"

	"berth/runtime/engine/filter"
	"berth/runtime/engine/image"
)

// Images answers for the images of a Docker host, and for the registries that it speaks with.
type Images struct {
	Store *image.Store
	// Used counts the containers that were made of an image, in any state; nil: it is not told.
	Used func(id string) int
}

// Routes adds the routes of images and registries.
func (i Images) Routes(r *Router) {
	r.Handle(http.MethodGet, "/images/json", i.list)
	r.Handle(http.MethodGet, "/images/search", i.search)
	r.Handle(http.MethodGet, "/images/get", i.save)
	r.Handle(http.MethodPost, "/images/create", i.create)
	r.Handle(http.MethodPost, "/images/load", i.load)
	r.Handle(http.MethodPost, "/images/prune", i.prune)
	r.Handle(http.MethodGet, "/images/{name:.*}/json", i.inspect)
	r.Handle(http.MethodGet, "/images/{name:.*}/history", i.history)
	r.Handle(http.MethodGet, "/images/{name:.*}/get", i.save)
	r.Handle(http.MethodPost, "/images/{name:.*}/push", i.push)
	r.Handle(http.MethodPost, "/images/{name:.*}/tag", i.tag)
	r.Handle(http.MethodDelete, "/images/{name:.*}", i.remove)
	r.Handle(http.MethodGet, "/distribution/{name:.*}/json", i.distribution)
	r.Handle(http.MethodPost, "/auth", i.login)
}

// imageName is the image that a request's path names.
func imageName(r *http.Request) (string, error) {
	name, err := url.PathUnescape(Var(r, "name"))
	if err != nil {
		return "", Invalid("invalid reference format: %s", err)
	}
	return name, nil
}

func (i Images) inspect(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err == nil {
		err = ownPlatform(r)
	}
	if err != nil {
		return err
	}
	img, err := i.Store.Get(r.Context(), name)
	if err != nil {
		return err
	}
	layers := make([]string, len(img.Layers))
	for n, l := range img.Layers {
		layers[n] = l.String()
	}
	v := imagetypes.InspectResponse{
		ID: img.ID, RepoTags: listed(img.Names), RepoDigests: listed(img.Digests), Comment: img.Config.Comment,
		Author: img.Config.Author, Config: &img.Config.Config, Architecture: img.Config.Architecture, Variant: img.Config.Variant,
		Os: img.Config.OS, OsVersion: img.Config.OSVersion, Size: img.Size,
		GraphDriver: &storage.DriverData{Name: "overlay2", Data: map[string]string{}},
		RootFS:      imagetypes.RootFS{Type: "layers", Layers: layers}, Metadata: imagetypes.Metadata{LastTagTime: img.Tagged},
	}
	if !img.Created.IsZero() {
		v.Created = img.Created.Format(time.RFC3339Nano)
	}
	return JSON(w, http.StatusOK, legacyInspect{v, img.Parent})
}

// legacyInspect is the answer up to version 1.51; moby/api knows only the later one.
type legacyInspect struct {
	imagetypes.InspectResponse
	Parent string
}

// listed is never null in JSON.
func listed(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

func (i Images) history(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err == nil {
		err = ownPlatform(r)
	}
	if err != nil {
		return err
	}
	h, err := i.Store.History(r.Context(), name)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, h)
}

func (i Images) tag(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err != nil {
		return err
	}
	if err := i.Store.Tag(r.Context(), name, r.FormValue("repo"), r.FormValue("tag")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (i Images) remove(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err != nil {
		return err
	}
	if name == "" {
		return Invalid("image name cannot be blank")
	}
	done, err := i.Store.Remove(r.Context(), name, image.RemoveOptions{Force: Flag(r, "force"), NoPrune: Flag(r, "noprune")})
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, done)
}

func (i Images) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err == nil {
		err = f.Only("dangling", "label", "label!", "until")
	}
	if err != nil {
		return err
	}
	o := image.PruneOptions{Match: func(img image.Image) bool { return f.Labels(img.Config.Config.Labels) }}
	dangling, err := f.Bool("dangling", true)
	if err != nil {
		return err
	}
	o.All = !dangling
	for _, until := range f.Values("until") {
		if o.Until, err = moment(until, time.Now()); err != nil {
			return err
		}
	}
	done, freed, err := i.Store.Prune(r.Context(), o)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, imagetypes.PruneReport{ImagesDeleted: done, SpaceReclaimed: uint64(max(0, freed))})
}

// moment is ParseTime, or a duration before now.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	return ParseTime(s)
}

func (i Images) list(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err == nil {
		err = f.Only("dangling", "label", "label!", "before", "since", "until", "reference")
	}
	if err != nil {
		return err
	}
	list, err := i.Store.List(r.Context())
	if err != nil {
		return err
	}
	keep, err := i.conditions(r, f, list)
	if err != nil {
		return err
	}
	answer := []imagetypes.Summary{}
	for _, img := range list {
		if keep(&img) {
			answer = append(answer, i.summary(img))
		}
	}
	if Flag(r, "shared-size") {
		if err := i.shareSizes(r.Context(), list, answer); err != nil {
			return err
		}
	}
	return JSON(w, http.StatusOK, answer)
}

// Summaries describe all images, with how much of each others have too: for `docker system df`.
func (i Images) Summaries(ctx context.Context) ([]imagetypes.Summary, error) {
	list, err := i.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]imagetypes.Summary, len(list))
	for n, img := range list {
		all[n] = i.summary(img)
	}
	return all, i.shareSizes(ctx, list, all)
}

func (i Images) summary(img image.Image) imagetypes.Summary {
	s := imagetypes.Summary{
		Containers: -1, ID: img.ID, Labels: img.Config.Config.Labels, ParentID: img.Parent, RepoTags: listed(img.Names),
		RepoDigests: listed(img.Digests), SharedSize: -1, Size: img.Size,
	}
	if !img.Created.IsZero() {
		s.Created = img.Created.Unix()
	}
	if i.Used != nil {
		s.Containers = int64(i.Used(img.ID))
	}
	return s
}

// conditions turns the query into one question. It leaves an image only those names that were asked for.
func (i Images) conditions(r *http.Request, f filter.Args, list []image.Image) (func(*image.Image) bool, error) {
	parents := map[string]bool{}
	for _, img := range list {
		parents[img.Parent] = true
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return nil, err
	}
	var after, before time.Time
	for name, at := range map[string]*time.Time{"since": &after, "before": &before} {
		for _, ref := range f.Values(name) {
			img, err := i.Store.Get(r.Context(), ref)
			if err != nil {
				return nil, err
			}
			*at = img.Created
		}
	}
	for _, u := range f.Values("until") {
		if before, err = moment(u, time.Now()); err != nil {
			return nil, err
		}
	}
	all := Flag(r, "all")
	return func(img *image.Image) bool {
		intermediate := len(img.Names)+len(img.Digests) == 0 && parents[img.ID]
		switch {
		case intermediate && !all,
			f.Has("dangling") && dangling != (len(img.Names) == 0),
			!after.IsZero() && !img.Created.After(after), !before.IsZero() && !img.Created.Before(before),
			!f.Labels(img.Config.Config.Labels):
			return false
		}
		return !f.Has("reference") || narrow(img, f.Values("reference"))
	}, nil
}

// narrow leaves an image the names that match a pattern, and reports whether any does.
func narrow(img *image.Image, patterns []string) bool {
	matches := func(name string) bool {
		n, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(patterns, func(p string) bool {
			for _, form := range []reference.Named{n, reference.TrimNamed(n)} {
				if ok, err := reference.FamiliarMatch(p, form); err == nil && ok {
					return true
				}
			}
			return false
		})
	}
	unwanted := func(name string) bool { return !matches(name) }
	img.Names, img.Digests = slices.DeleteFunc(img.Names, unwanted), slices.DeleteFunc(img.Digests, unwanted)
	return len(img.Names)+len(img.Digests) > 0
}

// shareSizes says how much of each image is of layers that others have too.
func (i Images) shareSizes(ctx context.Context, list []image.Image, answer []imagetypes.Summary) error {
	used := map[string]int{}
	sizes := map[string][]int64{}
	for _, img := range list {
		all, err := i.Store.LayerSizes(ctx, img)
		if err != nil {
			return err
		}
		sizes[img.ID] = all
		for n := range img.Layers {
			used[image.ChainID(img.Layers[:n+1])]++
		}
	}
	for a := range answer {
		at := slices.IndexFunc(list, func(img image.Image) bool { return img.ID == answer[a].ID })
		answer[a].SharedSize = 0
		for n := range list[at].Layers {
			if used[image.ChainID(list[at].Layers[:n+1])] > 1 {
				answer[a].SharedSize += sizes[answer[a].ID][n]
			}
		}
	}
	return nil
}
