package dockerapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/events"

	"berth/runtime/engine/events"
	"berth/runtime/engine/filter"
)

// Events answers GET /events.
type Events struct {
	Bus *events.Bus
}

// Routes is of Part.
func (e Events) Routes(r *Router) { r.Handle(http.MethodGet, "/events", e.follow) }

var eventFilters = []string{
	"config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume",
}

func (e Events) follow(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	since, err := ParseTime(q.Get("since"))
	if err != nil {
		return err
	}
	until, err := ParseTime(q.Get("until"))
	if err != nil {
		return err
	}
	f, err := filter.Parse(q.Get("filters"))
	if err != nil {
		return err
	}
	if err := f.Only(eventFilters...); err != nil {
		return err
	}
	ctx := r.Context()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	past, l := e.Bus.Listen(since)
	defer l.Close()
	w.Header().Set("Content-Type", "application/json")
	if err := http.NewResponseController(w).Flush(); err != nil { // the client waits for the status
		return err
	}
	out := NewStream(w)
	for _, m := range past {
		if wanted(f, m) && (until.IsZero() || m.TimeNano <= until.UnixNano()) {
			if err := out.Send(m); err != nil {
				return err
			}
		}
	}
	for {
		m, ok := l.Next(ctx)
		if !ok {
			return nil
		}
		if wanted(f, m) {
			if err := out.Send(m); err != nil {
				return err
			}
		}
	}
}

// wanted applies the filters of docker-events(1).
func wanted(f filter.Args, m api.Message) bool {
	action, _, _ := strings.Cut(string(m.Action), ":") // "health_status: healthy"
	for _, typ := range []api.Type{api.ContainerEventType, api.ImageEventType, api.NetworkEventType, api.VolumeEventType} {
		if f.Has(string(typ)) && (m.Type != typ || !names(f, string(typ), m)) {
			return false
		}
	}
	return (f.Exact("event", action) || f.Exact("event", string(m.Action))) && f.Exact("type", string(m.Type)) && f.Exact("scope", m.Scope) &&
		f.Labels(m.Actor.Attributes)
}

// names reports whether a filter value is the actor's ID, the beginning of it, or its name.
func names(f filter.Args, typ string, m api.Message) bool {
	return f.Prefix(typ, m.Actor.ID) || f.Exact(typ, m.Actor.Attributes["name"]) || f.Exact(typ, m.Actor.Attributes["image"])
}

// ParseTime reads a moment as the API writes them: seconds since 1970 with up to nine digits behind the point, or RFC 3339.
// An empty one, and 0, is the zero time.
func ParseTime(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, Invalid("invalid time %q: write seconds since 1970, or RFC 3339", s)
	}
	nanos := int64(0)
	if fraction != "" {
		if nanos, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64); err != nil {
			return time.Time{}, Invalid("invalid time %q: write seconds since 1970, or RFC 3339", s)
		}
	}
	return time.Unix(seconds, nanos), nil
}
