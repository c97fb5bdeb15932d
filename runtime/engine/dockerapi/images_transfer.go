package dockerapi

import (
	"encoding/json"
	"errors"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/jsonstream"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// progress writes messages to a client, one at a time. What an operation ends with is told in the stream once it has begun.
type progress struct {
	mu     sync.Mutex
	stream *Stream
	begun  bool
}

func newProgress(w http.ResponseWriter) *progress { return &progress{stream: NewStream(w)} }

// tell is an image.Progress.
func (p *progress) tell(m jsonstream.Message) { p.send(m) }

func (p *progress) send(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = true
	_ = p.stream.Send(v) // a client that has gone ends the request's context
}

// finish tells how it ended: as an error of the request where nothing was written yet.
func (p *progress) finish(err error) error {
	p.mu.Lock()
	begun := p.begun
	p.mu.Unlock()
	if err == nil || !begun {
		return err
	}
	detail := &jsonstream.Error{Message: err.Error()}
	if step := (*failedStep)(nil); errors.As(err, &step) {
		detail.Code = step.code
	}
	p.send(struct {
		Detail *jsonstream.Error `json:"errorDetail"`
		Error  string            `json:"error"`
	}{detail, err.Error()})
	return nil
}

// create pulls an image, or imports one.
func (i Images) create(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("fromSrc") != "" {
		return i.imported(w, r)
	}
	ref, tag := q.Get("fromImage"), q.Get("tag")
	if ref == "" {
		return Invalid("invalid reference format")
	}
	auth, err := registryAuth(r)
	if err != nil {
		return err
	}
	p := newProgress(w)
	o := image.PullOptions{Platform: q.Get("platform"), Auth: auth, Progress: p.tell}
	switch {
	case strings.Contains(tag, ":"):
		ref += "@" + tag
	case tag != "":
		ref += ":" + tag
	default:
		o.AllTags = image.NameOnly(ref)
	}
	return p.finish(i.Store.Pull(r.Context(), ref, o))
}

// imported makes an image of a tar that the client sends, or that stands somewhere in the net.
func (i Images) imported(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	o := image.ImportOptions{Repo: q.Get("repo"), Tag: q.Get("tag"), Message: q.Get("message"), Changes: q["changes"]}
	if platform := q.Get("platform"); platform != "" {
		system, arch, _ := strings.Cut(platform, "/")
		if system != "linux" {
			return Invalid("operating system is not supported: %s", system)
		}
		o.Arch, _, _ = strings.Cut(arch, "/")
	}
	if o.Message == "" {
		o.Message = "Imported from " + q.Get("fromSrc")
	}
	p := newProgress(w)
	body := r.Body
	if from := q.Get("fromSrc"); from != "-" {
		p.tell(jsonstream.Message{Status: "Downloading from " + from})
		var err error
		if body, err = i.Store.Fetch(r.Context(), from); err != nil {
			return p.finish(err)
		}
		defer body.Close()
	}
	img, err := i.Store.Import(r.Context(), body, o)
	if err == nil {
		p.tell(jsonstream.Message{Status: img.ID})
	}
	return p.finish(err)
}

func (i Images) load(w http.ResponseWriter, r *http.Request) error {
	if err := ownPlatform(r); err != nil {
		return err
	}
	p := newProgress(w)
	tell := p.tell
	if Flag(r, "quiet") {
		tell = func(m jsonstream.Message) {
			if m.Stream != "" {
				p.tell(m)
			}
		}
	}
	_, err := i.Store.Load(r.Context(), r.Body, tell)
	return p.finish(err)
}

// save answers with an archive of one image, or of those in the query.
func (i Images) save(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["names"]
	if Var(r, "name") != "" {
		name, err := imageName(r)
		if err != nil {
			return err
		}
		names = []string{name}
	}
	if err := ownPlatform(r); err != nil {
		return err
	}
	if len(names) == 0 {
		return Invalid("at least one image is needed: names")
	}
	w.Header().Set("Content-Type", "application/x-tar")
	err := i.Store.Save(r.Context(), names, w)
	if out, ok := w.(*writer); err != nil && ok && out.begun {
		panic(http.ErrAbortHandler) // the client must not take half an archive for a whole one
	}
	return err
}

func (i Images) push(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err != nil {
		return err
	}
	auth, err := registryAuth(r)
	if err != nil {
		return err
	}
	if err := ownPlatform(r); err != nil {
		return err
	}
	tag := r.FormValue("tag")
	p := newProgress(w)
	o := image.PushOptions{Auth: auth, Progress: p.tell, AllTags: tag == "" && image.NameOnly(name)}
	if tag != "" {
		name += ":" + tag
	}
	return p.finish(i.Store.Push(r.Context(), name, o))
}

// ownPlatform refuses a request for another platform than this machine's: of an image here there is one variant.
func ownPlatform(r *http.Request) error {
	raw := r.URL.Query().Get("platform")
	if raw == "" {
		return nil
	}
	var p ocispec.Platform
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		return Invalid("invalid platform: %s", plain(err))
	}
	if p.OS != "linux" || p.Architecture != goruntime.GOARCH {
		return Invalid("platform %s/%s is not available: this is linux/%s", p.OS, p.Architecture, goruntime.GOARCH)
	}
	return nil
}
