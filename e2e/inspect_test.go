package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// inspected is what the tests read of the inspector's answers.
type inspected struct {
	ID     string
	Size   int64
	Config struct{ Env []string }
	Layers []struct {
		Index       int
		DiffID      string `json:"diff_id"`
		Instruction string
		Size        int64
		Empty       bool
		Files       struct{ Added, Changed, Removed int }
	}
	Waste struct {
		Bytes      int64
		Efficiency float64
		Files      []struct {
			Path   string
			Bytes  int64
			Layers []int
			Kind   string
		}
		Advice []struct {
			Layer int
			Text  string
		}
	}
}

type imageTree struct {
	Total   int
	Entries []struct {
		Name, Path, Escaped, Type, Mode, Owner, Change, Target string
		Size                                                   int64
		UID                                                    int
	}
}

// get asks the session's API, and wants that status. into may be nil; the body is returned.
func (s *session) get(url, path string, query url.Values, status int, into any) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url+"/api/v1/sessions/"+string(s.id)+path+"?"+query.Encode(), nil)
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(s.t, err)
	if res.StatusCode != status {
		s.t.Fatalf("%s %v: %s %s", path, query, res.Status, body)
	}
	if into != nil {
		must(s.t, json.Unmarshal(body, into))
		s.described(url, req, res, body)
	}
	return body
}

// described checks an answer against what the server says of itself.
func (s *session) described(url string, req *http.Request, res *http.Response, body []byte) {
	s.t.Helper()
	answer, err := http.Get(url + "/api/v1/openapi.json")
	must(s.t, err)
	defer answer.Body.Close()
	document, err := io.ReadAll(answer.Body)
	must(s.t, err)
	doc, err := openapi3.NewLoader().LoadFromData(document)
	must(s.t, err)
	router, err := gorillamux.NewRouter(doc)
	must(s.t, err)
	route, params, err := router.FindRoute(req)
	must(s.t, err)
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: params}, Status: res.StatusCode, Header: res.Header,
	}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(s.t.Context(), out); err != nil {
		s.t.Errorf("%s is not as described: %v", req.URL, err)
	}
}

// madeOfSteps are images as a Dockerfile of bad habits makes them, made with commits.
const madeOfSteps = `set -e
step() { # image, Dockerfile's change, script
	docker create --name step "$1" sh -c "$4" >/dev/null; docker start -a step; docker commit -c "$3" step "$2" >/dev/null; docker rm step >/dev/null
}
step busybox s1 'ENV STEP=1' 'mkdir -p /app /var/lib/apt/lists; dd if=/dev/zero of=/app/data bs=1k count=300 2>/dev/null; dd if=/dev/zero of=/app/junk bs=1k count=500 2>/dev/null; dd if=/dev/zero of=/var/lib/apt/lists/x bs=1k count=200 2>/dev/null; echo one >/app/text'
step s1 s2 'ENV STEP=2' 'rm /app/junk; chown 1000 /app/data; echo two two >/app/text; ln -s /app/text /app/link; mkfifo /app/pipe; printf evil >"/app/$(printf "new\nline")"; printf x >"/app/$(printf "\377")"; printf "a\000b" >/app/binary'
docker tag s2 demo
`

// TestInspectImages looks into images that were made in a session: layers, trees, files, waste, comparison and archive.
func TestInspectImages(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	box := s.open("debian")
	if out := box.sh(madeOfSteps); out.ExitCode != 0 {
		t.Fatalf("%+v", out)
	}
	t.Run("layers and waste", func(t *testing.T) { inspectLayers(t, s.url, box) })
	t.Run("trees", func(t *testing.T) { inspectTrees(t, s.url, box) })
	t.Run("files", func(t *testing.T) { inspectFiles(t, s.url, box) })
	t.Run("compare", func(t *testing.T) {
		var c struct {
			Shared struct{ Layers int }
			Files  struct {
				Added, Changed, Removed int
				Entries                 []struct{ Path, Change, Why string }
			}
			Config []struct{ Name, A, B string }
		}
		box.get(s.url, "/image/compare", url.Values{"image": {"s1"}, "with": {"demo"}}, http.StatusOK, &c)
		first := c.Files.Entries[0]
		if c.Shared.Layers != 2 || c.Files.Removed != 1 || c.Files.Changed != 2 || c.Files.Added != 5 || first.Path != "/app/junk" || first.Change != "removed" {
			t.Errorf("%+v", c)
		}
		if !strings.Contains(string(must1(json.Marshal(c.Config))), `{"Name":"Env STEP","A":"1","B":"2"}`) {
			t.Errorf("%+v", c.Config)
		}
	})
	t.Run("save", func(t *testing.T) {
		saved := box.get(s.url, "/image/save", url.Values{"image": {"demo"}}, http.StatusOK, nil)
		if len(saved) < 1<<20 || !strings.Contains(string(saved), `"RepoTags":["demo:latest"]`) {
			t.Errorf("%d bytes", len(saved))
		}
		box.get(s.url, "/image/save", url.Values{"image": {"none"}}, http.StatusNotFound, nil)
	})
	t.Run("an image that only the host has", func(t *testing.T) {
		var img inspected
		box.get(s.url, "/image", url.Values{"image": {"debian"}}, http.StatusOK, &img)
		if len(img.Layers) == 0 || img.Layers[0].Files.Added < 1000 {
			t.Errorf("%+v", img.Layers)
		}
		f := box.get(s.url, "/image/file", url.Values{"image": {"debian"}, "path": {"/etc/os-release"}}, http.StatusOK, nil)
		if !strings.Contains(string(f), "Debian GNU/Linux") {
			t.Errorf("%s", f)
		}
	})
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inspectLayers(t *testing.T, at string, box *session) {
	var img inspected
	box.get(at, "/image", url.Values{"image": {"demo"}}, http.StatusOK, &img)
	n := len(img.Layers)
	if n < 3 {
		t.Fatalf("%+v", img.Layers)
	}
	one, two := img.Layers[n-2], img.Layers[n-1]
	if one.Files.Added != 4 || two.Files.Changed != 2 || two.Files.Removed != 1 || two.Files.Added != 5 || two.Empty || one.DiffID == two.DiffID {
		t.Errorf("%+v\n%+v", one, two)
	}
	if !strings.HasPrefix(two.Instruction, "sh -c rm /app/junk;") {
		t.Errorf("the instruction is %q", two.Instruction)
	}
	w := img.Waste
	if w.Bytes != 800<<10+4 || w.Efficiency > 0.9 || w.Efficiency < 0.5 || w.Files[0].Path != "/app/junk" || w.Files[0].Kind != "removed" ||
		w.Files[0].Layers[0] != one.Index || w.Files[0].Layers[1] != two.Index || w.Files[1].Path != "/app/data" || w.Files[1].Kind != "rewritten" {
		t.Errorf("%+v", w)
	}
	all := ""
	for _, a := range w.Advice {
		all += a.Text + "\n"
	}
	for _, want := range []string{"removes a file (500 KB in /app)", "another owner", "200 KB of apt's package lists"} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody says %q:\n%s", want, all)
		}
	}
	for ref, status := range map[string]int{"none": http.StatusNotFound, "": http.StatusBadRequest, img.ID[7:19]: http.StatusOK, "UPPER": http.StatusBadRequest} {
		box.get(at, "/image", url.Values{"image": {ref}}, status, nil)
	}
}

func inspectTrees(t *testing.T, at string, box *session) {
	var img inspected
	box.get(at, "/image", url.Values{"image": {"demo"}}, http.StatusOK, &img)
	last := url.Values{"image": {"demo"}, "path": {"/app"}}
	tree := func(more ...string) (all []string, found imageTree) {
		t.Helper()
		q := url.Values{}
		for k, v := range last {
			q[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		box.get(at, "/image/tree", q, http.StatusOK, &found)
		for _, e := range found.Entries {
			all = append(all, e.Change+":"+e.Name)
		}
		return all, found
	}
	got, found := tree()
	want := "added:binary changed:data removed:junk added:link added:new\nline added:pipe changed:text added:�"
	if strings.Join(got, " ") != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if e := found.Entries[len(found.Entries)-1]; e.Escaped != "%2Fapp%2F%FF" {
		t.Errorf("a name that is no text: %+v", e)
	}
	if e := found.Entries[1]; e.UID != 1000 || e.Size != 300<<10 || e.Mode != "-rw-r--r--" {
		t.Errorf("%+v", e)
	}
	if got, _ := tree("merged", "1", "change", "changed"); strings.Join(got, " ") != "changed:data changed:text" {
		t.Errorf("changed, merged: %q", got)
	}
	if _, found := tree("path", "/", "merged", "1", "recursive", "1", "limit", "2"); found.Total < 200 || len(found.Entries) != 2 {
		t.Errorf("all: %d, %d", found.Total, len(found.Entries))
	}
	if got, _ := tree("path", "/", "recursive", "1", "filter", "app/T", "merged", "1"); strings.Join(got, " ") != "changed:text" {
		t.Errorf("filtered: %q", got)
	}
}

func inspectFiles(t *testing.T, at string, box *session) {
	file := func(path string, status int) string {
		t.Helper()
		return string(box.get(at, "/image/file", url.Values{"image": {"demo"}, "path": {path}}, status, nil))
	}
	for path, want := range map[string]string{"/app/text": "two two\n", "/app/link": "two two\n", "/app/new\nline": "evil", "/app/\xff": "x", "/app/binary": "a\x00b"} {
		if got := file(path, http.StatusOK); got != want {
			t.Errorf("%q: %q", path, got)
		}
	}
	if got := string(box.get(at, "/image/file", url.Values{"image": {"s1"}, "path": {"/app/text"}}, http.StatusOK, nil)); got != "one\n" {
		t.Errorf("as of the first: %q", got)
	}
	file("/app/pipe", http.StatusConflict)
	file("/app", http.StatusConflict)
	file("/app/junk", http.StatusNotFound)
	file("/../../etc/shadow-of-the-host", http.StatusNotFound)
}
