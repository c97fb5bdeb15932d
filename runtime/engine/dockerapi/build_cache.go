package dockerapi

import (
	"net/http"
	"strconv"
	"time"

	buildtypes "github.com/moby/moby/api/types/build"

	"berth/runtime/engine/build"
	"berth/runtime/engine/filter"
)

// prune is `docker builder prune`, and a part of `docker system prune`.
func (b Builds) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err == nil {
		err = f.Only(append([]string{"until", "unused-for"}, build.PruneFilters...)...)
	}
	if err != nil {
		return err
	}
	o := build.PruneOptions{All: Flag(r, "all"), Filters: f}
	for _, until := range append(f.Values("until"), f.Values("unused-for")...) {
		if o.Until, err = moment(until, time.Now()); err != nil {
			return err
		}
	}
	for name, to := range map[string]*int64{
		"keep-storage": &o.Reserved, "reserved-space": &o.Reserved, "max-used-space": &o.Used, "min-free-space": &o.Free,
	} {
		if v := r.FormValue(name); v != "" {
			if *to, err = strconv.ParseInt(v, 10, 64); err != nil {
				return Invalid("%s is in bytes and expects an integer, got %q", name, v)
			}
		}
	}
	builder, err := b.Builder(r.Context())
	if err != nil {
		return err
	}
	ids, freed, err := builder.Prune(r.Context(), o)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, buildtypes.CachePruneReport{CachesDeleted: ids, SpaceReclaimed: uint64(max(0, freed))})
}
