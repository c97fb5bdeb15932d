package webtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one of a volume of the fake. Its Data is nil for a directory.
type File struct {
	Data         []byte
	Mode         string // as ls -l writes it
	UID, GID     int
	Owner, Group string
	Why, Fix     string
	Target       string // of a symbolic link
	Changed      time.Time
}

// Volume is what a test has put into one: files by path, "/" being the volume itself.
type Volume map[string]*File

// PutVolume fills a volume, or with a why says that it cannot be browsed.
func (d *Docker) PutVolume(name string, files Volume, hidden string) {
	d.with(func() {
		if files["/"] == nil {
			files["/"] = &File{Mode: "drwxr-xr-x"}
		}
		d.files[name], d.hidden[name] = files, hidden
		if !slices.ContainsFunc(d.volumes, func(v map[string]any) bool { return v["Name"] == name }) {
			d.volumes = append(d.volumes, map[string]any{"Name": name, "Driver": "local", "CreatedAt": time.Now().Add(-time.Hour)})
		}
		d.tell("volume", "create", name, name)
	})
}

// VolumeFile is the content of a file of a volume; nil: there is none.
func (d *Docker) VolumeFile(name, file string) (data []byte) {
	d.with(func() {
		if f := d.files[name][file]; f != nil {
			data = f.Data
		}
	})
	return data
}

// PutChanges says what a container has changed, as {path, kind, type, size}, and tells nobody.
func (d *Docker) PutChanges(id string, all ...map[string]any) {
	d.with(func() { d.changes[id] = all })
}

func (d *Docker) registerVolumes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/volumes", d.listSizes)
	mux.HandleFunc("/v1/volumes/{name}/files/{path...}", d.volumeFile)
	mux.HandleFunc("GET /v1/changes", d.listChanges)
}

func (d *Docker) listSizes(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []map[string]any{}
	for _, v := range d.volumes {
		name, _ := v["Name"].(string)
		var size int64
		for _, f := range d.files[name] {
			size += int64(len(f.Data))
		}
		all = append(all, map[string]any{"name": name, "driver": "local", "size": size, "hidden": d.hidden[name], "used_by": []any{}})
	}
	answer(w, all)
}

// refuse writes a problem as the sandbox API does.
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func (d *Docker) volumeFile(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, at := r.PathValue("name"), path.Clean("/"+r.PathValue("path"))
	d.asked = append(d.asked, r.Method+" "+r.URL.RequestURI())
	files := d.files[name]
	if d.hidden[name] != "" {
		refuse(w, http.StatusConflict, d.hidden[name])
		return
	}
	q, f := r.URL.Query(), files[at]
	switch {
	case r.Method == http.MethodPut:
		data, _ := io.ReadAll(r.Body)
		files[at] = &File{Data: append([]byte{}, data...), Mode: "-rw-r--r--", Owner: "root", Group: "root", Changed: time.Now()}
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && q.Has("mkdir"):
		files[at] = &File{Mode: "drwxr-xr-x", Owner: "root", Group: "root", Changed: time.Now()}
		w.WriteHeader(http.StatusCreated)
	case f == nil:
		refuse(w, http.StatusNotFound, "open "+at+": no such file or directory")
	case r.Method == http.MethodPost && files[q.Get("rename")] != nil:
		refuse(w, http.StatusConflict, "rename "+at+": file exists")
	case r.Method == http.MethodPost:
		files[q.Get("rename")] = f
		delete(files, at)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodDelete:
		maps.DeleteFunc(files, func(p string, _ *File) bool { return p == at || strings.HasPrefix(p, at+"/") })
		w.WriteHeader(http.StatusNoContent)
	case q.Has("archive") || f.Data != nil:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", path.Base(at)))
		http.ServeContent(w, r, "", f.Changed, bytes.NewReader(f.Data))
	default:
		answer(w, d.directory(name, at, q.Get("container")))
	}
}

func (f *File) entry(name string) map[string]any {
	kind := map[byte]string{'d': "directory", 'L': "symlink", '-': "file"}[f.Mode[0]]
	return map[string]any{
		"name": name, "type": kind, "size": len(f.Data), "mode": f.Mode, "uid": f.UID, "gid": f.GID, "owner": f.Owner, "group": f.Group,
		"why": f.Why, "fix": f.Fix, "target": f.Target, "mod_time": f.Changed,
	}
}

func (d *Docker) directory(volume, at, container string) map[string]any {
	files, entries := d.files[volume], []map[string]any{}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if p != "/" && path.Dir(p) == at {
			entries = append(entries, files[p].entry(path.Base(p)))
		}
	}
	out := map[string]any{
		"volume": volume, "path": at, "container": nil, "directory": files[at].entry("."), "entries": entries, "total": len(entries), "more": false,
	}
	if c := d.find(container); c != nil {
		out["container"] = map[string]any{"container": c.ID, "name": c.Name, "uid": 1000, "gid": 1000, "user": "app", "running": true, "rw": true}
	}
	return out
}

func (d *Docker) listChanges(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := r.URL.Query()
	all, counts, sum := []map[string]any{}, map[string]int{}, 0
	for _, c := range d.changes[q.Get("container")] {
		if p, _ := c["path"].(string); !strings.Contains(p, q.Get("filter")) {
			continue
		}
		kind, _ := c["kind"].(string)
		size, _ := c["size"].(int)
		all, sum = append(all, c), sum+size
		counts[kind]++
	}
	b, _ := json.Marshal(all)
	h := fnv.New64a()
	_, _ = h.Write(b)
	tag := fmt.Sprintf(`"%x"`, h.Sum64())
	w.Header().Set("Etag", tag)
	d.asked = append(d.asked, "GET "+r.URL.RequestURI()+" "+r.Header.Get("If-None-Match"))
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer(w, map[string]any{
		"total": len(all), "added": counts["added"], "changed": counts["changed"], "removed": counts["removed"], "bytes": sum, "more": false, "changes": all,
	})
}

func (d *Docker) createVolume(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || strings.ContainsAny(body.Name, " /") {
		problem(w, http.StatusBadRequest, fmt.Sprintf("create %s: includes invalid characters for a local volume name", body.Name))
		return
	}
	if body.Name == "" {
		body.Name = strings.Repeat("7", 64)
	}
	d.PutVolume(body.Name, Volume{}, "")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]any{"Name": body.Name})
}

func (d *Docker) commit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id := "sha256:" + strings.Repeat("c0", 32)
	d.PutImage(&Image{ID: id, Tags: []string{q.Get("repo") + ":" + q.Get("tag")}, Size: 1 << 20, Created: time.Now()})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"Id": id})
}
