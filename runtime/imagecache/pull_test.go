package imagecache_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"berth/runtime/imagecache"
)

// hub is a registry with something in front of it.
type hub struct {
	host  string
	front atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // reports whether it has answered
	mu    sync.Mutex
	blobs []string // paths of blobs that were asked for
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	back := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front := h.front.Load(); front != nil && (*front)(w, r) {
			return
		}
		if strings.Contains(r.URL.Path, "/blobs/sha256:") && r.Method == http.MethodGet {
			h.mu.Lock()
			h.blobs = append(h.blobs, r.URL.Path)
			h.mu.Unlock()
		}
		back.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.host = strings.TrimPrefix(s.URL, "http://")
	return h
}

func (h *hub) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.blobs)
}

func (h *hub) push(t *testing.T, ref string, img v1.Image) string {
	t.Helper()
	r, err := name.ParseReference(h.host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
	return r.Name()
}

func TestPull(t *testing.T) {
	c, dir := open(t)
	h := newHub(t)
	img := imageOf(t, []string{"low"}, []string{"high"})
	ref := h.push(t, "app:1", img)
	var lines lineLog
	got, err := c.Pull(t.Context(), ref, imagecache.PullOptions{Progress: lines.add})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != idOf(t, img) || got.Name != ref || got.Digest != manifest.String() {
		t.Errorf("pulled %+v", got)
	}
	wantFiles(t, c, got, "low", "high")
	if !strings.Contains(lines.String(), "layer 1/2") || !strings.Contains(lines.String(), "layer 2/2") {
		t.Errorf("progress is %q", lines.String())
	}
	for _, l := range got.Layers {
		if id, ok := c.DiffID(l.Digest); l.Digest != l.DiffID && (!ok || id != l.DiffID) {
			t.Errorf("%s is known as %s", l.Digest, id)
		}
	}
	before := h.asked()
	if _, err := c.Pull(t.Context(), ref, imagecache.PullOptions{Name: "mine"}); err != nil {
		t.Fatal(err)
	}
	if again := h.asked() - before; again != 1 { // the config
		t.Errorf("%d blobs were fetched again", again)
	}
	if i, err := c.Resolve("mine"); err != nil || i.ID != got.ID {
		t.Errorf("mine is %+v, %v", i, err)
	}
	wantClean(t, dir)
}

// Compressed layers are known by both digests.
func TestPullCompressed(t *testing.T) {
	c, _ := open(t)
	h := newHub(t)
	img, err := mutate.AppendLayers(imageOf(t, []string{"low"}), gzipLayer(t, "zipped"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Pull(t.Context(), h.push(t, "app", img), imagecache.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, c, got, "low", "zipped")
	top := got.Layers[1]
	if id, ok := c.DiffID(top.Digest); top.Digest == top.DiffID || !ok || id != top.DiffID {
		t.Errorf("%s is known as %q", top.Digest, id)
	}
	if _, err := c.Remove(got.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.DiffID(top.Digest); ok {
		t.Error("the digest is known although the layer is gone")
	}
}

func TestPullRefusals(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(code)
				return true
			}
			return false
		}
	}
	instead := func(body []byte) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			_, _ = w.Write(body)
			return true
		}
	}
	for name, c := range map[string]struct {
		front func(http.ResponseWriter, *http.Request) bool
		says  string
	}{
		"unauthorized": {status(401), "docker login"},
		"not found":    {status(404), "no such image"},
		"rate limit":   {status(429), "pulled too much"},
		"blob lies":    {instead(tarOf(t, "evil")), ""},
		"blob is huge": {instead(make([]byte, 1<<20)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			cache, dir := open(t)
			h := newHub(t)
			ref := h.push(t, "app", imageOf(t, []string{"good"}))
			h.front.Store(&c.front)
			_, err := cache.Pull(t.Context(), ref, imagecache.PullOptions{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
			t.Log(err)
			wantEmpty(t, cache, dir)
		})
	}
}

// The config is honest, and the layer is another one of the right length.
func TestPullLayerLies(t *testing.T) {
	cache, dir := open(t)
	h := newHub(t)
	img := imageOf(t, []string{"good"})
	ref := h.push(t, "app", img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	front := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, digest.String()) || r.Method != http.MethodGet {
			return false
		}
		_, _ = w.Write(tarOf(t, "evil"))
		return true
	}
	h.front.Store(&front)
	_, err = cache.Pull(t.Context(), ref, imagecache.PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "layer 1/1") {
		t.Errorf("error is %v", err)
	}
	t.Log(err)
	wantEmpty(t, cache, dir)
}

// A connection that breaks in the middle of a layer is made again.
func TestPullTriesAgain(t *testing.T) {
	cache, _ := open(t)
	h := newHub(t)
	img := imageOf(t, []string{"good"})
	ref := h.push(t, "app", img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	front := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, digest.String()) || r.Method != http.MethodGet || broken.Swap(true) {
			return false
		}
		w.Header().Set("Content-Length", "2048")
		_, _ = w.Write(tarOf(t, "good")[:600])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	h.front.Store(&front)
	var lines lineLog
	got, err := cache.Pull(t.Context(), ref, imagecache.PullOptions{Progress: lines.add})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, cache, got, "good")
	if !strings.Contains(lines.String(), "trying again") {
		t.Errorf("progress is %s", lines.String())
	}
}

// A registry that wants a password gets the keychain's, and without one says how to log in.
func TestPullWithPassword(t *testing.T) {
	cache, _ := open(t)
	h := newHub(t)
	ref := h.push(t, "app", imageOf(t, []string{"good"}))
	front := func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, ok := r.BasicAuth(); ok && user == "anna" && password == "secret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	h.front.Store(&front)
	if _, err := cache.Pull(t.Context(), ref, imagecache.PullOptions{Keychain: authn.NewMultiKeychain()}); err == nil || !strings.Contains(err.Error(), "docker login "+h.host) {
		t.Errorf("error is %v", err)
	}
	got, err := cache.Pull(t.Context(), ref, imagecache.PullOptions{Keychain: password{}})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, cache, got, "good")
}

type password struct{}

func (password) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "anna", Password: "secret"}, nil
}

// Plain HTTP is for loopback only, unless the operator says so.
func TestPullPlainHTTP(t *testing.T) {
	cache, _ := open(t)
	h := newHub(t)
	h.push(t, "app", imageOf(t, []string{"good"}))
	front := func(http.ResponseWriter, *http.Request) bool { return false }
	h.front.Store(&front)
	private := "10.255.255.1:5000/app" // the library alone would fall back to HTTP here
	to := redirect{h.host}
	_, err := cache.Pull(t.Context(), private, imagecache.PullOptions{Transport: to})
	if err == nil || !strings.Contains(err.Error(), "--insecure") {
		t.Errorf("error is %v", err)
	}
	if _, err := cache.Pull(t.Context(), private, imagecache.PullOptions{Transport: to, Insecure: true}); err != nil {
		t.Error(err)
	}
}

// redirect sends plain HTTP of any host to one, and refuses HTTPS, as that one does.
type redirect struct{ host string }

func (t redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return nil, io.ErrUnexpectedEOF
	}
	r = r.Clone(r.Context())
	r.URL.Host = t.host
	return http.DefaultTransport.RoundTrip(r)
}

func wantEmpty(t *testing.T, c *imagecache.Cache, dir string) {
	t.Helper()
	if images, err := c.List(); err != nil || len(images) > 0 {
		t.Errorf("there are %v, %v", images, err)
	}
	if r, err := c.Prune(); err != nil || r.Layers > 0 {
		t.Errorf("left behind: %+v, %v", r, err)
	}
	wantClean(t, dir)
}

func gzipLayer(t *testing.T, names ...string) v1.Layer {
	t.Helper()
	body := gzipped(t, tarOf(t, names...))
	return zipped{static.NewLayer(body, types.OCILayer), digestHash(t, tarOf(t, names...))}
}

// zipped is a static layer that knows what it is when it is not compressed.
type zipped struct {
	v1.Layer
	diffID v1.Hash
}

func (z zipped) DiffID() (v1.Hash, error) { return z.diffID, nil }
