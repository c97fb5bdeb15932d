package webtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (b *Builds) register(mux *http.ServeMux) {
	for pattern, f := range map[string]http.HandlerFunc{
		"GET builds": b.list, "POST builds": b.create, "GET builds/{id}": b.get, "GET builds/{id}/events": b.events, "GET builds/{id}/log": b.text,
		"POST builds/{id}/cancel": b.cancel, "DELETE builds/{id}": b.forget, "POST builds/{id}/steps/{step}/debug": b.debug, "POST dockerfile": b.check,
	} {
		method, route, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /v1/"+route, func(w http.ResponseWriter, r *http.Request) {
			b.with(func() { b.asked = append(b.asked, r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/v1/")) })
			f(w, r)
		})
	}
}

// reluctance is why a test has the routes refuse what they are asked; "": they do not.
func (b *Builds) reluctance() (why string) {
	b.with(func() { why = b.refused })
	return why
}

func (b *Builds) list(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	b.with(func() {
		for _, x := range b.all {
			short := maps.Clone(x.head)
			delete(short, "dockerfile_text")
			all = append(all, short)
		}
	})
	answer(w, map[string]any{"builds": all})
}

func (b *Builds) create(w http.ResponseWriter, r *http.Request) {
	var fields map[string]any
	if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	why := b.reluctance()
	var started func(*Build)
	b.with(func() {
		started = b.started
		fields["dockerfile_text"] = b.files[fmt.Sprintf("%s/%s", fields["context"], fields["dockerfile"])]
	})
	if why != "" {
		refuse(w, http.StatusUnprocessableEntity, why)
		return
	}
	x := b.New(fields)
	if started != nil {
		started(x)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	b.with(func() { answer(w, x.head) })
}

// of finds the build that a request names, or answers that there is none.
func (b *Builds) of(w http.ResponseWriter, r *http.Request) (x *Build) {
	b.with(func() { x = b.find(r.PathValue("id")) })
	if x == nil {
		refuse(w, http.StatusNotFound, "There is no such build.")
	}
	return x
}

func (b *Builds) get(w http.ResponseWriter, r *http.Request) {
	if x := b.of(w, r); x != nil {
		b.with(func() {
			whole := maps.Clone(x.head)
			whole["steps"] = x.steps
			answer(w, whole)
		})
	}
}

func (b *Builds) events(w http.ResponseWriter, r *http.Request) {
	x := b.of(w, r)
	if x == nil {
		return
	}
	b.with(func() {
		b.streams++
		b.most = max(b.most, b.streams)
	})
	defer b.with(func() { b.streams-- })
	w.Header().Set("Content-Type", "text/event-stream")
	next, _ := strconv.Atoi(r.URL.Query().Get("after"))
	for {
		var fresh [][]byte
		var ended bool
		var changed chan struct{}
		b.with(func() {
			fresh, ended, changed = slices.Clone(x.events[min(next, len(x.events)):]), x.head["state"] != "running", b.changed
		})
		for _, e := range fresh {
			if _, err := w.Write(e); err != nil {
				return
			}
		}
		next += len(fresh)
		_ = http.NewResponseController(w).Flush()
		if ended {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (b *Builds) text(w http.ResponseWriter, r *http.Request) {
	if x := b.of(w, r); x != nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		b.with(func() { _, _ = w.Write(x.log.Bytes()) })
	}
}

func (b *Builds) cancel(w http.ResponseWriter, r *http.Request) {
	x := b.of(w, r)
	if x == nil {
		return
	}
	done := false
	b.with(func() {
		if done = x.head["state"] == "running"; done {
			x.end("cancelled", nil)
		}
	})
	if !done {
		refuse(w, http.StatusConflict, "The build has ended.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *Builds) forget(w http.ResponseWriter, r *http.Request) {
	if x := b.of(w, r); x != nil {
		b.with(func() { b.all = slices.DeleteFunc(b.all, func(o *Build) bool { return o == x }) })
		w.WriteHeader(http.StatusNoContent)
	}
}

func (b *Builds) debug(w http.ResponseWriter, r *http.Request) {
	x := b.of(w, r)
	if x == nil {
		return
	}
	if why := b.reluctance(); why != "" {
		refuse(w, http.StatusNotFound, why)
		return
	}
	name := ""
	b.with(func() {
		b.debugs++
		name = fmt.Sprintf("debug-%d", b.debugs)
	})
	b.shell(name)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"terminal": name})
}

func (b *Builds) check(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	answer(w, check(string(text)))
}
