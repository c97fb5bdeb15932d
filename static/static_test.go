package static_test

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"berth/static"
)

// What the pages may weigh, in bytes after compression. HTML adds some 3 KB.
const (
	homeBudget    = 60 << 10
	sessionBudget = 350 << 10
)

func TestPagesAreLight(t *testing.T) {
	a, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	sum := func(names ...string) (n int) {
		for _, name := range names {
			if a.Size(name) == 0 {
				t.Errorf("%s is missing", name)
			}
			n += a.Size(name)
		}
		return n
	}
	home := sum("theme.js", "home.js", "base.css", "icon.svg")
	session := sum("theme.js", "session.js", "base.css", "session.css", "icon.svg")
	panels := sum("docker.js", "build.js", "build.css") // when the first panel is opened
	t.Logf("first page %d bytes, session page %d bytes, its panels %d bytes more", home, session, panels)
	if home > homeBudget-(8<<10) || session+panels > sessionBudget-(8<<10) {
		t.Errorf("first page %d of %d bytes, session page %d of %d", home, homeBudget, session, sessionBudget)
	}
}

func TestServesHashedNames(t *testing.T) {
	a, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, encoding string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		a.ServeHTTP(w, r)
		return w
	}
	plain := get(a.URL("base.css"), "br, gzip;q=0")
	zipped := get(a.URL("base.css"), "br, gzip")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("encodings %v, %v", plain.Header(), zipped.Header())
	}
	r, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != plain.Body.String() || len(got) == 0 {
		t.Errorf("the two encodings differ: %v", err)
	}
	if c := plain.Header().Get("Cache-Control"); c != "public, max-age=31536000, immutable" {
		t.Errorf("Cache-Control %q", c)
	}
	for _, path := range []string{"/static/", "/static/base.css", "/static/manifest.json", "/static/../static.go", "/static/dist/base.css"} {
		if w := get(path, ""); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The committed bundle is what the sources make.
func TestBundleIsCurrent(t *testing.T) {
	if _, err := os.Stat("node_modules/@xterm/xterm"); err != nil {
		t.Skip("needs the npm packages: run make gen")
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./bundle", "-check").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
