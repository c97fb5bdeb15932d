package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Builds answers the routes of builds of a Sandbox: what is built, and how, is what a test says.
type Builds struct {
	mu      sync.Mutex
	all     []*Build // newest first
	changed chan struct{}
	files   map[string]string // what PutFile has written
	root    func() string     // the directory that is the root of the machine's files
	started func(*Build)
	refused string // "": nothing is refused
	debugs  int
	asked   []string // "METHOD path?query"
	streams int      // that are open
	most    int      // of them at once, ever
	shell   func(name string) *Terminal
}

// Build is one of the fake.
type Build struct {
	ID     string
	builds *Builds
	head   map[string]any
	steps  []map[string]any
	events [][]byte // as they go over the wire, from sequence number 1
	log    bytes.Buffer
}

func newBuilds(shell func(name string) *Terminal, root func() string) *Builds {
	return &Builds{changed: make(chan struct{}), files: map[string]string{}, shell: shell, root: root}
}

// Started is called for every build that the page asks for, before it is answered.
func (b *Builds) Started(f func(*Build)) { b.with(func() { b.started = f }) }

// Refuse has the next builds, and shells in steps, refused with that sentence; "" ends that.
func (b *Builds) Refuse(sentence string) { b.with(func() { b.refused = sentence }) }

// PutFile makes a file of the machine, for the page to read: "/root/app/Dockerfile".
func (b *Builds) PutFile(path, text string) {
	b.with(func() { b.files[path] = text })
	at := filepath.Join(b.root(), path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
		panic(err) // a test without a temporary directory
	}
}

// Asked are the requests so far, as "METHOD path?query".
func (b *Builds) Asked() (all []string) {
	b.with(func() { all = slices.Clone(b.asked) })
	return all
}

// Streams are the streams of events that are open now, and the most that ever were at once.
func (b *Builds) Streams() (now, most int) {
	b.with(func() { now, most = b.streams, b.most })
	return now, most
}

// New begins a build, as `docker build` in the shell does where fields say so.
func (b *Builds) New(fields map[string]any) *Build {
	x := &Build{builds: b}
	b.with(func() {
		x.ID = fmt.Sprintf("b%d", len(b.all)+1)
		x.head = map[string]any{
			"id": x.ID, "source": "page", "state": "running", "started_at": time.Now().UTC(), "ended_at": nil, "context": "/root/app",
			"dockerfile": "Dockerfile", "target": "", "tags": []string{"app"}, "args": map[string]string{}, "no_cache": false, "image": "",
			"image_size": 0, "error": nil, "warnings": []any{}, "totals": map[string]int{"steps": 0, "done": 0, "cached": 0},
		}
		maps.Copy(x.head, fields)
		b.all = append([]*Build{x}, b.all...)
		x.emit("build", x.head)
	})
	return x
}

// Step adds a step, or changes one.
func (x *Build) Step(id string, fields map[string]any) {
	x.builds.with(func() {
		var step map[string]any
		for _, s := range x.steps {
			if s["id"] == id {
				step = s
			}
		}
		if step == nil {
			step = map[string]any{
				"id": id, "name": "", "stage": "", "instruction": "", "internal": false, "line": 0, "end_line": 0, "inputs": []string{}, "state": "waiting",
				"started_at": nil, "ended_at": nil, "duration_ms": 0, "size": nil, "progress": []any{}, "error": "",
			}
			x.steps = append(x.steps, step)
		}
		maps.Copy(step, fields)
		x.emit("step", step)
		x.count()
	})
}

func (x *Build) count() {
	steps, done, cached := 0, 0, 0
	for _, s := range x.steps {
		if s["line"] == 0 { // not of the Dockerfile
			continue
		}
		steps++
		switch s["state"] {
		case "cached":
			cached++
			done++
		case "succeeded":
			done++
		}
	}
	x.head["totals"] = map[string]int{"steps": steps, "done": done, "cached": cached}
	x.emit("build", x.head)
}

// Log adds to the log of a step.
func (x *Build) Log(step string, stream int, text string) {
	x.builds.with(func() {
		x.log.WriteString(text)
		x.emit("log", map[string]any{"step": step, "time": time.Now().UTC(), "stream": stream, "text": text})
	})
}

// Warn adds a warning.
func (x *Build) Warn(fields map[string]any) {
	x.builds.with(func() {
		x.head["warnings"] = append(x.head["warnings"].([]any), fields)
		x.emit("warning", fields)
	})
}

// End ends the build.
func (x *Build) End(state string, fields map[string]any) {
	x.builds.with(func() { x.end(state, fields) })
}

func (x *Build) end(state string, fields map[string]any) {
	x.head["state"], x.head["ended_at"] = state, time.Now().UTC()
	maps.Copy(x.head, fields)
	x.emit("build", x.head)
	x.emit("end", map[string]any{})
}

func (x *Build) emit(name string, data any) {
	if name == "build" {
		short := maps.Clone(x.head)
		delete(short, "dockerfile_text")
		data = short
	}
	text, _ := json.Marshal(data)
	x.events = append(x.events, fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", len(x.events)+1, name, text))
	close(x.builds.changed)
	x.builds.changed = make(chan struct{})
}

func (b *Builds) with(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *Builds) find(id string) *Build {
	for _, x := range b.all {
		if x.ID == id {
			return x
		}
	}
	return nil
}

// check reads as much of a Dockerfile as the page asks about.
func check(text string) map[string]any {
	stages, args := []map[string]any{}, []map[string]any{}
	for i, line := range strings.Split(text, "\n") {
		word := strings.Fields(line)
		switch {
		case len(word) > 1 && word[0] == "FROM":
			s := map[string]any{"name": "", "base": word[1], "line": i + 1, "end_line": i + 1}
			if len(word) > 3 {
				s["name"] = word[3]
			}
			stages = append(stages, s)
		case len(word) > 1 && word[0] == "ARG":
			name, value, _ := strings.Cut(word[1], "=")
			args = append(args, map[string]any{"name": name, "value": value, "line": i + 1})
		}
	}
	return map[string]any{"warnings": []any{}, "error": nil, "stages": stages, "args": args}
}
