package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/api/types/jsonstream"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image"
)

// fakeRegistry is a registry in memory that can be made to misbehave.
type fakeRegistry struct {
	host    string
	mu      sync.Mutex
	serve   http.Handler
	between func(w http.ResponseWriter, r *http.Request) (handled bool)
	blobs   atomic.Int64 // GETs of blobs
	puts    atomic.Int64
}

func newRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	r := &fakeRegistry{serve: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.host = strings.TrimPrefix(s.URL, "http://")
	return r
}

func (f *fakeRegistry) misbehave(how func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.between = how
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/blobs/sha256:") && r.Method == http.MethodGet {
		f.blobs.Add(1)
	}
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/uploads/") {
		f.puts.Add(1)
	}
	f.mu.Lock()
	between := f.between
	f.mu.Unlock()
	if between != nil && between(w, r) {
		return
	}
	f.serve.ServeHTTP(w, r)
}

// messages collects what a client would be told.
type messages struct {
	mu   sync.Mutex
	list []jsonstream.Message
}

func (m *messages) add(msg jsonstream.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, msg)
}

func (m *messages) has(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.list {
		if strings.Contains(o.Status, text) {
			return true
		}
	}
	return false
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, o := range m.list {
		fmt.Fprintf(&b, "%s: %s\n", o.ID, o.Status)
	}
	return b.String()
}

// pushed makes an image of two layers and pushes it.
func pushed(t *testing.T, s *image.Store, name string) image.Image {
	t.Helper()
	base := imported(t, s, "base", entry{name: "etc/x", text: "x"}, entry{name: "noise", text: strings.Repeat("0123456789abcdef", 1<<16)})
	dir := filepath.Join(t.TempDir(), "r")
	must(t, s.NewRoot(t.Context(), name, base.ID))
	must(t, s.MountRoot(t.Context(), name, dir))
	writeFile(t, filepath.Join(dir, "app"), name)
	img, err := s.Commit(t.Context(), name, image.CommitOptions{Repo: name})
	must(t, err)
	must(t, s.UnmountRoot(t.Context(), name, dir))
	must(t, s.RemoveRoot(t.Context(), name))
	must(t, s.Push(t.Context(), name, image.PushOptions{}))
	return img
}

func TestPushAndPull(t *testing.T) {
	reg := newRegistry(t)
	s, other := open(t, newHost(t)), open(t, newHost(t))
	img := pushed(t, s, reg.host+"/team/app:v1")
	var again messages
	must(t, s.Push(t.Context(), reg.host+"/team/app:v1", image.PushOptions{Progress: again.add}))
	if !again.has("Layer already exists") || again.has("Pushed") || !again.has("v1: digest: sha256:") {
		t.Errorf("the second push says\n%s", &again)
	}
	last := again.list[len(again.list)-1]
	if last.Aux == nil || !strings.Contains(string(*last.Aux), `"Tag":"v1"`) {
		t.Errorf("the last message is %+v", last)
	}
	var told messages
	must(t, other.Pull(t.Context(), reg.host+"/team/app:v1", image.PullOptions{Progress: told.add}))
	for _, want := range []string{
		"Pulling from team/app", "Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete",
		"Extracting", "Pull complete", "Digest: sha256:", "Status: Downloaded newer image for " + reg.host + "/team/app:v1",
	} {
		if !told.has(want) {
			t.Errorf("the pull does not say %q:\n%s", want, &told)
		}
	}
	got, err := other.Get(t.Context(), reg.host+"/team/app:v1")
	if err != nil || got.ID != img.ID || len(got.Digests) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if files := tree(t, mounted(t, other, "c", got.ID)); !maps.Equal(files, tree(t, mounted(t, s, "c", img.ID))) {
		t.Errorf("the files are %v", files)
	}
	before := reg.blobs.Load()
	var second messages
	must(t, other.Pull(t.Context(), reg.host+"/team/app:v1", image.PullOptions{Progress: second.add}))
	if !second.has("Already exists") || !second.has("Status: Image is up to date for") || reg.blobs.Load() != before+1 {
		t.Errorf("the second pull fetched %d blobs and says\n%s", reg.blobs.Load()-before, &second)
	}
	must(t, other.Pull(t.Context(), got.Digests[0], image.PullOptions{}))
	must(t, other.Tag(t.Context(), got.ID, reg.host+"/other/app", "x"))
	var mountedFrom messages
	must(t, other.Push(t.Context(), reg.host+"/other/app:x", image.PushOptions{Progress: mountedFrom.add}))
	t.Logf("\n%s", &mountedFrom)
}

// Only what is missing is fetched: also when the host has the layers.
func TestPullIsIncremental(t *testing.T) {
	reg := newRegistry(t)
	s, h := open(t, newHost(t)), newHost(t)
	img := pushed(t, s, reg.host+"/app:latest")
	h.index.Layers[img.Layers[0].String()] = h.index.Layers["none"]
	writeFile(t, filepath.Join(h.layers, img.Layers[0].Encoded(), "etc/x"), "the host's")
	h.publish()
	other := open(t, h)
	var told messages
	must(t, other.Pull(t.Context(), reg.host+"/app", image.PullOptions{Progress: told.add}))
	if reg.blobs.Load() != 2 { // the config and one layer
		t.Errorf("%d blobs were fetched:\n%s", reg.blobs.Load(), &told)
	}
	if got := tree(t, mounted(t, other, "c", img.ID)); got["etc/x"] != "the host's" || got["app"] == "" {
		t.Errorf("%v", got)
	}
}

// A download that was cut short goes on where it stopped, in the same pull and in the next.
func TestPullResumes(t *testing.T) {
	reg := newRegistry(t)
	s, other := open(t, newHost(t)), open(t, newHost(t))
	img := pushed(t, s, reg.host+"/app:latest")
	var ranges []string
	var mu sync.Mutex
	cut := true
	reg.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		rec := httptest.NewRecorder()
		reg.serve.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if len(body) < 1024 && r.Header.Get("Range") == "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		ranges = append(ranges, r.Header.Get("Range"))
		if !cut {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	ctx, cancel := context.WithCancel(t.Context())
	err := other.Pull(ctx, reg.host+"/app", image.PullOptions{Progress: func(m jsonstream.Message) {
		if strings.HasPrefix(m.Status, "Retrying in") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	mu.Lock()
	cut = false
	mu.Unlock()
	must(t, other.Pull(t.Context(), reg.host+"/app", image.PullOptions{}))
	if got, err := other.Get(t.Context(), reg.host+"/app"); err != nil || got.ID != img.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if resumed := ranges[len(ranges)-1]; !strings.HasPrefix(resumed, "bytes=") || resumed == "bytes=0-" {
		t.Errorf("the second pull asked for %q", ranges)
	}
}

// What a registry lies about does not get in, and nothing of it stays.
func TestLyingRegistry(t *testing.T) {
	reg := newRegistry(t)
	s, other := open(t, newHost(t)), open(t, newHost(t))
	pushed(t, s, reg.host+"/app:latest")
	for name, lie := range map[string]func([]byte) []byte{
		"other bytes": func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 1; return c },
		"too long":    func(b []byte) []byte { return append(bytes.Clone(b), 0) },
	} {
		reg.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			rec := httptest.NewRecorder()
			reg.serve.ServeHTTP(rec, r)
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") || bytes.HasPrefix(rec.Body.Bytes(), []byte("{")) {
				return false
			}
			_, _ = w.Write(lie(rec.Body.Bytes()))
			return true
		})
		err := other.Pull(t.Context(), reg.host+"/app", image.PullOptions{})
		if err == nil || !strings.Contains(err.Error(), "filesystem layer verification failed for digest sha256:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := other.Prune(t.Context(), image.PruneOptions{})
	must(t, err)
	if used, err := other.DiskUsage(t.Context()); err != nil || used != 0 {
		t.Errorf("%d bytes are left, %v", used, err)
	}
}

// Docker's sentences and status classes.
func TestPullErrors(t *testing.T) {
	reg := newRegistry(t)
	s := open(t, newHost(t))
	pushed(t, s, reg.host+"/app:latest")
	answer := func(status int, body string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	app := reg.host + "/app"
	for _, c := range []struct {
		ref   string
		how   func(w http.ResponseWriter, r *http.Request) bool
		want  string
		class func(error) bool
	}{
		{app + ":none", nil, "manifest for " + app + ":none not found: manifest unknown: ", errdefs.IsNotFound},
		{app, answer(401, ""), "pull access denied for " + app + ", repository does not exist or may require 'docker login': denied: requested access to the resource is denied", errdefs.IsNotFound},
		{app, answer(429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`), "toomanyrequests: You have reached your pull rate limit.", errdefs.IsResourceExhausted},
		{"127.0.0.1:1/x", nil, "connect: connection refused", func(error) bool { return true }},
		{"UPPER", nil, "invalid reference format: repository name (library/UPPER) must be lowercase", errdefs.IsInvalidArgument},
	} {
		reg.misbehave(c.how)
		err := s.Pull(t.Context(), c.ref, image.PullOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !c.class(err) {
			t.Errorf("pull %s: %v\nwant %s", c.ref, err, c.want)
		}
	}
	if err := s.Push(t.Context(), reg.host+"/nothing", image.PushOptions{}); !errdefs.IsNotFound(err) ||
		err.Error() != "An image does not exist locally with the tag: "+reg.host+"/nothing" {
		t.Error(err)
	}
}

// Where the registry does not answer, the host's image is taken.
func TestPullFromTheHost(t *testing.T) {
	h := newHost(t)
	s := open(t, h, func(o *image.Options) { o.Transport = refused{} })
	id := h.busybox()
	for i, want := range []string{"Status: Downloaded newer image for busybox:latest", "Status: Image is up to date for busybox:latest"} {
		var told messages
		must(t, s.Pull(t.Context(), "busybox", image.PullOptions{Progress: told.add}))
		if !told.has("Pulling from library/busybox") || !told.has(want) {
			t.Errorf("pull %d says\n%s", i, &told)
		}
	}
	_, err := s.Remove(t.Context(), "busybox", image.RemoveOptions{})
	must(t, err)
	must(t, s.Pull(t.Context(), "busybox:latest", image.PullOptions{}))
	if img, err := s.Get(t.Context(), "busybox"); err != nil || img.ID != id || img.Shared {
		t.Errorf("%+v, %v", img, err)
	}
	if err := s.Pull(t.Context(), "debian", image.PullOptions{}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

type refused struct{}

func (refused) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// A mirror may be anywhere, and over plain HTTP where its address says so.
func TestMirror(t *testing.T) {
	reg := newRegistry(t)
	s := open(t, newHost(t))
	img := pushed(t, s, reg.host+"/library/app:latest")
	other := open(t, newHost(t), func(o *image.Options) {
		o.Mirrors = []string{"127.0.0.1:1", "http://mirror.example"}
		o.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "mirror.example:80" {
				addr = reg.host
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}}
	})
	must(t, other.Pull(t.Context(), "app", image.PullOptions{}))
	if got, err := other.Get(t.Context(), "app"); err != nil || got.ID != img.ID || got.Names[0] != "app:latest" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Plain HTTP is only for this machine, as with Docker; the library would take it from any private address.
func TestPlainHTTPIsRefused(t *testing.T) {
	reg := newRegistry(t)
	s := open(t, newHost(t), func(o *image.Options) {
		o.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, reg.host)
		}}
	})
	err := s.Pull(t.Context(), "10.1.2.3:5000/app", image.PullOptions{})
	if want := `Get "https://10.1.2.3:5000/v2/": http: server gave HTTP response to HTTPS client`; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestLogin(t *testing.T) {
	reg := newRegistry(t)
	s := open(t, newHost(t))
	reg.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == "me" && p == "secret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	good, bad := authn.FromConfig(authn.AuthConfig{Username: "me", Password: "secret"}), authn.FromConfig(authn.AuthConfig{Username: "me", Password: "x"})
	must(t, s.Login(t.Context(), reg.host, good))
	if err := s.Login(t.Context(), reg.host, bad); !errdefs.IsUnauthorized(err) || !strings.Contains(err.Error(), "unauthorized: incorrect username or password") {
		t.Error(err)
	}
	imported(t, s, reg.host+"/private:v1", entry{name: "a", text: "x"})
	if err := s.Push(t.Context(), reg.host+"/private:v1", image.PushOptions{}); err == nil {
		t.Error("pushed without credentials")
	}
	must(t, s.Push(t.Context(), reg.host+"/private:v1", image.PushOptions{Auth: good}))
	tags, err := s.Tags(t.Context(), reg.host+"/private", good)
	if err != nil || len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("%v, %v", tags, err)
	}
	r, err := s.InspectRemote(t.Context(), reg.host+"/private:v1", good, true)
	if err != nil || len(r.Variants) != 1 || r.Variants[0].Size == 0 || r.Variants[0].Platform.OS != "linux" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A disk that is full in the middle of a pull is told, and all of it is free again; then there is room for less.
func TestPullOntoFullDisk(t *testing.T) {
	reg := newRegistry(t)
	s, h := open(t, newHost(t)), newHost(t)
	noise := make([]byte, 12<<20)
	for i := range noise {
		noise[i] = byte(i*i>>3) ^ byte(i*31>>7)
	}
	imported(t, s, reg.host+"/big:1", entry{name: "noise", text: string(noise)})
	must(t, s.Push(t.Context(), reg.host+"/big:1", image.PushOptions{}))
	small := imported(t, s, reg.host+"/small:1", entry{name: "a", text: "x"})
	must(t, s.Push(t.Context(), reg.host+"/small:1", image.PushOptions{}))
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	other := open(t, h, func(o *image.Options) { o.Dir = filepath.Join(disk, "docker") })
	err := other.Pull(t.Context(), reg.host+"/big:1", image.PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatal(err)
	}
	must(t, other.Pull(t.Context(), reg.host+"/small:1", image.PullOptions{}))
	if list, err := other.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != small.ID {
		t.Errorf("%+v, %v", list, err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(disk, &st))
	if free := int64(st.Bfree) * st.Bsize; free < 4<<20 {
		t.Errorf("only %d bytes are free again", free)
	}
}

func TestSearch(t *testing.T) {
	reg := newRegistry(t)
	s := open(t, newHost(t))
	reg.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/search" || r.URL.Query().Get("q") != "team/app" {
			return false
		}
		_, _ = io.WriteString(w, `{"num_results":2,"results":[{"name":"team/app","star_count":3,"is_official":true},{"name":"team/app2"}]}`)
		return true
	})
	found, err := s.Search(t.Context(), reg.host+"/team/app", 1, nil)
	if err != nil || len(found) != 1 || found[0].Name != "team/app" || found[0].StarCount != 3 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := s.Search(t.Context(), reg.host+"/other", 1, nil); err == nil || err.Error() != "Unexpected status code 404" {
		t.Error(err)
	}
}
