package webtest

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Docker answers the Docker Engine API below /v1/docker/ of a Sandbox, as far as the pages ask for it: what is in it is what
// a test has put there.
type Docker struct {
	mu         sync.Mutex
	containers []*Container
	images     []*Image
	networks   []map[string]any
	volumes    []map[string]any
	files      map[string]Volume
	hidden     map[string]string           // why a volume cannot be browsed
	changes    map[string][]map[string]any // by container
	listeners  map[chan string]bool
	pulls      map[string]chan string
	asked      []string // "METHOD path?query"
	refusals   map[string]string
	readings   int64
	changed    chan struct{}
}

// Container is one of the fake.
type Container struct {
	ID, Name, Image, ImageID, Command string
	State, Status                     string // "running", "Up 5 minutes (healthy)"
	Created, Started, Finished        time.Time
	ExitCode                          int
	OOMKilled, TTY                    bool
	Memory, NanoCPUs                  int64          // its own limits; 0: none
	Ports                             []Port         //
	UsedMemory, UsedCPU               int64          // bytes; ns in each second
	Log                               []byte         // as the API gives it: framed, or raw for a TTY
	Mounts                            []string       // names of volumes
	Extra                             map[string]any // laid over its entry in the list
}

// Port is published where Public is not 0.
type Port struct {
	IP              string
	Private, Public int
	Type            string
}

// Image is one of the fake.
type Image struct {
	ID           string
	Tags         []string
	Size, Shared int64
	Created      time.Time
}

func newDocker() *Docker {
	return &Docker{
		listeners: map[chan string]bool{}, pulls: map[string]chan string{}, refusals: map[string]string{}, changed: make(chan struct{}),
		files: map[string]Volume{}, hidden: map[string]string{}, changes: map[string][]map[string]any{},
	}
}

// Put adds containers, or replaces those of the same ID, and tells it with an event of that action ("": none).
func (d *Docker) Put(action string, all ...*Container) {
	d.with(func() {
		for _, c := range all {
			d.containers = slices.DeleteFunc(d.containers, func(o *Container) bool { return o.ID == c.ID })
			d.containers = append([]*Container{c}, d.containers...)
			d.tell("container", action, c.ID, c.Name)
		}
	})
}

// Take removes a container and tells it.
func (d *Docker) Take(id string) { d.with(func() { d.take(id) }) }

func (d *Docker) take(id string) {
	for i, c := range d.containers {
		if c.ID == id {
			d.containers = slices.Delete(d.containers, i, i+1)
			d.tell("container", "destroy", id, c.Name)
			return
		}
	}
}

// PutImage adds an image and tells it.
func (d *Docker) PutImage(all ...*Image) {
	d.with(func() {
		d.images = append(d.images, all...)
		d.tell("image", "pull", "x", "x")
	})
}

// PutOther fills the lists of networks and volumes, as the API writes them.
func (d *Docker) PutOther(networks, volumes []map[string]any) {
	d.with(func() { d.networks, d.volumes = networks, volumes })
}

// Refuse has requests that begin so ("DELETE images/") answered 409 with that message; "" ends that.
func (d *Docker) Refuse(request, message string) {
	d.with(func() {
		if d.refusals[request] = message; message == "" {
			delete(d.refusals, request)
		}
	})
}

// Asked are the requests so far, as "METHOD path?query".
func (d *Docker) Asked() (all []string) {
	d.with(func() { all = slices.Clone(d.asked) })
	return all
}

// Pull sends a line of progress to the pull of that reference, and waits for one that has not begun. "" ends it well.
func (d *Docker) Pull(reference, progress string) { d.pull(reference) <- progress }

func (d *Docker) pull(reference string) (c chan string) {
	d.with(func() {
		if d.pulls[reference] == nil {
			d.pulls[reference] = make(chan string, 100)
		}
		c = d.pulls[reference]
	})
	return c
}

func (d *Docker) with(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *Docker) tell(kind, action, id, name string) {
	if action == "" {
		return
	}
	e, _ := json.Marshal(map[string]any{"Type": kind, "Action": action, "time": time.Now().Unix(), "Actor": map[string]any{
		"ID": id, "Attributes": map[string]string{"name": name, "exitCode": "0"},
	}})
	for l := range d.listeners {
		select {
		case l <- string(e) + "\n":
		default:
		}
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Docker) find(id string) *Container {
	for _, c := range d.containers {
		if c.ID == id || c.Name == id {
			return c
		}
	}
	return nil
}

// Say adds to a container's log, and to all that follow it.
func (d *Docker) Say(id string, stream byte, at time.Time, line string) {
	d.with(func() {
		c := d.find(id)
		text := at.UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + line + "\n"
		if !c.TTY {
			c.Log = append(c.Log, stream, 0, 0, 0, byte(len(text)>>24), byte(len(text)>>16), byte(len(text)>>8), byte(len(text)))
		}
		c.Log = append(c.Log, text...)
		close(d.changed)
		d.changed = make(chan struct{})
	})
}

// Container is the one of that ID, or nil.
func (d *Docker) Container(id string) (c *Container) {
	d.with(func() { c = d.find(id) })
	return c
}
