package webtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// register adds the routes to a sandbox's API.
func (d *Docker) register(mux *http.ServeMux) {
	for pattern, f := range map[string]http.HandlerFunc{
		"GET containers/json": d.list, "GET containers/{id}/json": d.inspect, "GET containers/{id}/stats": d.stats,
		"GET containers/{id}/logs": d.logs, "POST containers/{id}/{action}": d.act, "DELETE containers/{id}": d.remove,
		"GET images/json": d.listImages, "GET images/{name...}": d.inspectImage, "DELETE images/{name...}": d.removeImage,
		"POST images/create": d.create, "GET system/df": d.usage, "GET events": d.events, "GET networks": d.others, "GET volumes": d.others,
		"DELETE networks/{id}": d.gone, "DELETE volumes/{id}": d.gone,
		"POST volumes/create": d.createVolume, "POST commit": d.commit,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /v1/docker/"+path, func(w http.ResponseWriter, r *http.Request) {
			if !d.refused(w, r) {
				f(w, r)
			}
		})
	}
}

func (d *Docker) refused(w http.ResponseWriter, r *http.Request) (yes bool) {
	request := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/v1/docker/")
	d.with(func() {
		d.asked = append(d.asked, request)
		for begin, message := range d.refusals {
			if strings.HasPrefix(request, begin) {
				yes = true
				problem(w, http.StatusConflict, message)
			}
		}
	})
	return yes
}

func problem(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (d *Docker) list(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	d.with(func() {
		for _, c := range d.containers {
			all = append(all, c.summary())
		}
	})
	answer(w, all)
}

func (c *Container) summary() map[string]any {
	ports, mounts := []map[string]any{}, []map[string]any{}
	for _, p := range c.Ports {
		ports = append(ports, map[string]any{"IP": p.IP, "PrivatePort": p.Private, "PublicPort": p.Public, "Type": p.Type})
	}
	for _, m := range c.Mounts {
		mounts = append(mounts, map[string]any{"Type": "volume", "Name": m, "Destination": "/data", "RW": true})
	}
	s := map[string]any{
		"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": c.Image, "ImageID": c.ImageID, "Command": c.Command,
		"Created": c.Created.Unix(), "State": c.State, "Status": c.Status, "Ports": ports, "Mounts": mounts,
		"NetworkSettings": map[string]any{"Networks": map[string]any{"bridge": map[string]any{"IPAddress": "172.17.0.2"}}},
	}
	maps.Copy(s, c.Extra)
	return s
}

func (d *Docker) inspect(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(r.PathValue("id"))
	if c == nil {
		problem(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	answer(w, map[string]any{
		"Id": c.ID, "Name": "/" + c.Name, "Config": map[string]any{"Tty": c.TTY},
		"HostConfig": map[string]any{"Memory": c.Memory, "NanoCpus": c.NanoCPUs, "RestartPolicy": map[string]any{"Name": "no"}},
		"State":      map[string]any{"StartedAt": c.Started, "FinishedAt": c.Finished, "ExitCode": c.ExitCode, "OOMKilled": c.OOMKilled},
	})
}

func (d *Docker) stats(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(r.PathValue("id"))
	if c == nil {
		problem(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	d.readings++
	answer(w, map[string]any{
		"read": time.Unix(1_700_000_000+d.readings, 0).UTC(), "pids_stats": map[string]any{"current": 5},
		"cpu_stats":    map[string]any{"cpu_usage": map[string]any{"total_usage": c.UsedCPU * d.readings}},
		"memory_stats": map[string]any{"usage": c.UsedMemory + 1<<20, "stats": map[string]any{"inactive_file": 1 << 20}},
	})
}

func (d *Docker) logs(w http.ResponseWriter, r *http.Request) {
	sent := 0
	for {
		d.mu.Lock()
		c, changed := d.find(r.PathValue("id")), d.changed
		var more []byte
		running := false
		if c != nil {
			more, running = slices.Clone(c.Log[sent:]), c.State == "running"
		}
		d.mu.Unlock()
		sent += len(more)
		for len(more) > 0 { // in pieces that split frames
			n := min(len(more), 1000)
			_, _ = w.Write(more[:n])
			more = more[n:]
			_ = http.NewResponseController(w).Flush()
		}
		_ = http.NewResponseController(w).Flush()
		if !running {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (d *Docker) act(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(r.PathValue("id"))
	if c == nil {
		problem(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	switch action := r.PathValue("action"); action {
	case "stop", "kill":
		c.State, c.Status, c.Finished = "exited", "Exited (0) Less than a second ago", time.Now()
		d.tell("container", "die", c.ID, c.Name)
	case "start", "restart", "unpause":
		c.State, c.Status, c.Started = "running", "Up Less than a second", time.Now()
		d.tell("container", strings.Replace(action, "restart", "start", 1), c.ID, c.Name)
	case "pause":
		c.State, c.Status = "paused", "Up 5 minutes (Paused)"
		d.tell("container", "pause", c.ID, c.Name)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Docker) remove(w http.ResponseWriter, r *http.Request) {
	d.Take(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func (d *Docker) listImages(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	d.with(func() {
		for _, i := range d.images {
			all = append(all, map[string]any{
				"Id": i.ID, "RepoTags": i.Tags, "Size": i.Size, "SharedSize": i.Shared, "Created": i.Created.Unix(), "Containers": -1,
			})
		}
	})
	answer(w, all)
}

func (d *Docker) inspectImage(w http.ResponseWriter, r *http.Request) {
	answer(w, map[string]any{
		"Id": "sha256:" + strings.Repeat("ab", 32), "Os": "linux", "Architecture": "amd64", "Created": time.Unix(1_700_000_000, 0),
		"RepoDigests": []string{strings.TrimSuffix(r.PathValue("name"), "/json") + "@sha256:" + strings.Repeat("cd", 32)},
		"RootFS":      map[string]any{"Layers": []string{"a", "b", "c"}},
		"Config":      map[string]any{"Cmd": []string{"nginx", "-g", "daemon off;"}, "Env": []string{"PATH=/usr/bin:/bin", "A=b"}, "ExposedPorts": map[string]any{"80/tcp": nil}},
	})
}

func (d *Docker) removeImage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	d.with(func() {
		d.images = slices.DeleteFunc(d.images, func(i *Image) bool {
			i.Tags = slices.DeleteFunc(i.Tags, func(t string) bool { return t == name })
			return len(i.Tags) == 0
		})
		d.tell("image", "delete", name, name)
	})
	answer(w, []map[string]string{{"Untagged": name}})
}

func (d *Docker) create(w http.ResponseWriter, r *http.Request) {
	reference := r.URL.Query().Get("fromImage") + ":" + r.URL.Query().Get("tag")
	progress := d.pull(reference)
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case line := <-progress:
			if line == "" {
				d.PutImage(&Image{ID: "sha256:" + strings.Repeat("5e", 32), Tags: []string{reference}, Size: 52 << 20, Created: time.Now()})
				return
			}
			_, _ = fmt.Fprint(w, line, "\r\n")
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (d *Docker) usage(w http.ResponseWriter, _ *http.Request) {
	var size int64
	d.with(func() {
		for _, i := range d.images {
			size += i.Size - i.Shared
		}
	})
	answer(w, map[string]any{"LayersSize": size})
}

func (d *Docker) others(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "networks") {
		answer(w, d.networks)
	} else {
		answer(w, map[string]any{"Volumes": d.volumes, "Warnings": nil})
	}
}

func (d *Docker) gone(w http.ResponseWriter, r *http.Request) {
	d.with(func() {
		d.volumes = slices.DeleteFunc(d.volumes, func(v map[string]any) bool { return v["Name"] == r.PathValue("id") })
		d.networks = slices.DeleteFunc(d.networks, func(n map[string]any) bool { return n["Id"] == r.PathValue("id") })
	})
	w.WriteHeader(http.StatusNoContent)
}

func (d *Docker) events(w http.ResponseWriter, r *http.Request) {
	l := make(chan string, 1000)
	d.with(func() { d.listeners[l] = true })
	defer d.with(func() { delete(d.listeners, l) })
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case e := <-l:
			_, _ = fmt.Fprint(w, e)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}
