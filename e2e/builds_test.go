package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// builder is a session whose builds a test looks at, by the REST API.
type builder struct {
	*session
	server *server
	base   string
	routes routers.Router // of the OpenAPI document
}

func newBuilder(t *testing.T, s *server) *builder {
	t.Helper()
	opened := s.open("debian")
	b := &builder{session: opened, server: s, base: s.url + "/api/v1/sessions/" + string(opened.id)}
	res, err := http.Get(s.url + "/api/v1/openapi.json")
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	must(t, err)
	doc.Servers = nil
	b.routes, err = gorillamux.NewRouter(doc)
	must(t, err)
	return b
}

// documented checks that an answer about builds is one that the OpenAPI document describes.
func (b *builder) documented(method, path string, res *http.Response, text []byte) {
	b.t.Helper()
	path, _, _ = strings.Cut(path, "?")
	if !strings.HasPrefix(path, "/builds") && path != "/dockerfile" || strings.Contains(path, "%") {
		return
	}
	req := httptest.NewRequestWithContext(b.t.Context(), method, "/api/v1/sessions/"+string(b.id)+path, nil)
	route, params, err := b.routes.FindRoute(req)
	must(b.t, err)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: params},
		Status:                 res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if res.StatusCode >= http.StatusBadRequest { // a sandbox's problems have fewer members than those of the server
		in.Options.ExcludeResponseBody = true
	}
	in.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(b.t.Context(), in); err != nil {
		b.t.Errorf("%s %s answers %s with what the document does not say: %v", method, path, res.Status, err)
	}
}

// ask sends a request and wants that status. What is answered is decoded into out, if that is not nil.
func (b *builder) ask(method, path string, body any, want int, out any) string {
	b.t.Helper()
	var reader io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(v)
	default:
		encoded, err := json.Marshal(v)
		must(b.t, err)
		reader = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.base+path, reader)
	must(b.t, err)
	req.Header.Set("Authorization", "Bearer "+b.token)
	res, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	if res.StatusCode != want {
		b.t.Fatalf("%s %s: %s, want %d: %s", method, path, res.Status, want, text)
	}
	b.documented(method, path, res, text)
	if out != nil {
		must(b.t, json.Unmarshal(text, out))
	}
	return string(text)
}

// put writes files into the workspace, by name.
func (b *builder) put(files map[string]string) {
	b.t.Helper()
	for name, text := range files {
		if i := strings.LastIndex(name, "/"); i > 0 {
			if made := b.sh("mkdir -p " + name[:i]); made.ExitCode != 0 {
				b.t.Fatalf("%+v", made)
			}
		}
		b.ask("PUT", "/files"+name, text, http.StatusNoContent, nil)
	}
}

// buildStep and built are what the tests read of the API: its names, not those of the engine's types.
type buildStep struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Stage       string   `json:"stage"`
	Instruction string   `json:"instruction"`
	Internal    bool     `json:"internal"`
	Line        int      `json:"line"`
	EndLine     int      `json:"end_line"`
	Inputs      []string `json:"inputs"`
	State       string   `json:"state"`
	Size        *int64   `json:"size"`
	Error       string   `json:"error"`
}

type built struct {
	ID         string            `json:"id"`
	Source     string            `json:"source"`
	State      string            `json:"state"`
	StartedAt  time.Time         `json:"started_at"`
	EndedAt    *time.Time        `json:"ended_at"`
	Context    string            `json:"context"`
	Dockerfile string            `json:"dockerfile"`
	Target     string            `json:"target"`
	Tags       []string          `json:"tags"`
	Args       map[string]string `json:"args"`
	Image      string            `json:"image"`
	ImageSize  int64             `json:"image_size"`
	Error      *struct {
		Message  string `json:"message"`
		Step     string `json:"step"`
		Line     int    `json:"line"`
		EndLine  int    `json:"end_line"`
		ExitCode int    `json:"exit_code"`
	} `json:"error"`
	Totals   struct{ Steps, Done, Cached int } `json:"totals"`
	Warnings []struct {
		Rule string `json:"rule"`
		Line int    `json:"line"`
	} `json:"warnings"`
	Text  string      `json:"dockerfile_text"`
	Steps []buildStep `json:"steps"`
}

// line finds the step of a line of the Dockerfile.
func (b *built) line(t *testing.T, line int) buildStep {
	t.Helper()
	for _, s := range b.Steps {
		if s.Line <= line && line <= s.EndLine && s.Line > 0 {
			return s
		}
	}
	t.Fatalf("no step of line %d in %+v", line, b.Steps)
	return buildStep{}
}

// build builds a directory and waits for its end.
func (b *builder) build(request map[string]any) built {
	b.t.Helper()
	var begun built
	b.ask("POST", "/builds", request, http.StatusCreated, &begun)
	return b.wait(begun.ID)
}

func (b *builder) wait(id string) (over built) {
	b.t.Helper()
	eventually(b.t, 4*patience, func() error {
		over = built{}
		b.ask("GET", "/builds/"+id, nil, http.StatusOK, &over)
		if over.State == "running" {
			return fmt.Errorf("build %s runs", id)
		}
		return nil
	})
	return over
}

// event is a server-sent one.
type event struct{ id, kind, data string }

// events reads the events of a build behind one of them, until the last, or the connection breaks.
func (b *builder) events(id, after string) (all []event, err error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 4*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", b.base+"/builds/"+id+"/events", nil)
	must(b.t, err)
	req.Header.Set("Authorization", "Bearer "+b.token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	lines := bufio.NewReader(res.Body)
	var e event
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return all, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			all = append(all, e)
			if e.kind == "end" {
				return all, nil
			}
			e = event{}
		}
	}
}

// app is a Dockerfile of two stages whose lines the tests know.
const app = `FROM busybox AS build
ARG WHO=nobody
RUN echo hello $WHO > /hello && \
    dd if=/dev/zero of=/big bs=1024 count=100
COPY text /text
FROM busybox AS Last
COPY --from=build /hello /hello
CMD ["cat", "/hello"]
`

func TestBuilds(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	b := newBuilder(t, s)
	t.Run("from the page", b.fromThePage)
	t.Run("cached", b.cached)
	t.Run("failing", b.failing)
	t.Run("hidden", b.hidden)
	t.Run("debugging", b.debugging)
	t.Run("from docker", b.fromDocker)
	t.Run("cancelled", b.cancelled)
	t.Run("refused", b.refused)
	t.Run("contexts", b.contexts)
	t.Run("looked at", b.lookedAt)
}

// with is the builder for a subtest.
func (b *builder) with(t *testing.T) *builder {
	opened := *b.session
	opened.t = t
	return &builder{session: &opened, server: b.server, base: b.base, routes: b.routes}
}

func (b *builder) fromThePage(t *testing.T) {
	b = b.with(t)
	b.put(map[string]string{"/root/app/Dockerfile": app, "/root/app/text": "text\n"})
	one := b.build(map[string]any{"context": "/root/app", "tags": []string{"app:1"}, "args": map[string]string{"WHO": "you"}})
	if one.State != "succeeded" || one.Source != "page" || one.Text != app || one.Dockerfile != "Dockerfile" || one.Args["WHO"] != "you" || one.EndedAt == nil {
		t.Fatalf("%+v", one)
	}
	if !strings.HasPrefix(one.Image, "sha256:") || one.ImageSize < 1<<20 {
		t.Errorf("image %q of %d bytes", one.Image, one.ImageSize)
	}
	if one.Totals != (struct{ Steps, Done, Cached int }{4, 4, 0}) {
		t.Errorf("totals %+v", one.Totals)
	}
	if len(one.Warnings) != 1 || one.Warnings[0].Rule != "StageNameCasing" || one.Warnings[0].Line != 6 {
		t.Errorf("warnings %+v", one.Warnings)
	}
	run := one.line(t, 4)
	if run.Line != 3 || run.EndLine != 4 || run.Stage != "build" || !strings.HasPrefix(run.Instruction, "RUN echo hello you") || run.State != "succeeded" ||
		run.Size == nil || *run.Size < 100<<10 || *run.Size > 200<<10 || len(run.Inputs) != 1 || run.Inputs[0] != one.line(t, 1).ID {
		t.Errorf("the RUN: %+v", run)
	}
	last := one.line(t, 7)
	if last.Size == nil || *last.Size > 50<<10 || len(last.Inputs) != 2 {
		t.Errorf("the last COPY: %+v", last)
	}
	if got := b.sh("docker run --rm app:1; docker images -q --no-trunc app:1"); got.Stdout != "hello you\n"+one.Image+"\n" {
		t.Errorf("the image: %+v", got)
	}
	b.eventsOf(one)
	if log := b.ask("GET", "/builds/"+one.ID+"/log", nil, http.StatusOK, nil); !strings.Contains(log, " 100+0 records in\n") || !strings.Contains(log, "naming to docker.io/library/app:1") {
		t.Errorf("the log is\n%s", log)
	}
}

// eventsOf checks that the events are all, in order, and tell what the build says in the end.
func (b *builder) eventsOf(one built) {
	b.t.Helper()
	all, err := b.events(one.ID, "")
	must(b.t, err)
	steps := map[string]buildStep{}
	var output strings.Builder
	for i, e := range all {
		if e.id != fmt.Sprint(i+1) {
			b.t.Fatalf("event %d has number %s", i+1, e.id)
		}
		switch e.kind {
		case "step":
			var s buildStep
			must(b.t, json.Unmarshal([]byte(e.data), &s))
			steps[s.ID] = s
		case "log":
			var l struct{ Step, Text string }
			must(b.t, json.Unmarshal([]byte(e.data), &l))
			if _, known := steps[l.Step]; !known {
				b.t.Errorf("output of an unknown step: %s", e.data)
			}
			output.WriteString(l.Text)
		}
	}
	for _, s := range one.Steps {
		if told := steps[s.ID]; told.State != s.State || (told.Size == nil) != (s.Size == nil) {
			b.t.Errorf("the events leave a step as %+v, the build has %+v", told, s)
		}
	}
	if len(steps) != len(one.Steps) || all[0].kind != "build" || all[len(all)-1].kind != "end" || !strings.Contains(output.String(), "records in") {
		b.t.Errorf("%d steps of %d, from %s to %s, output %q", len(steps), len(one.Steps), all[0].kind, all[len(all)-1].kind, output.String())
	}
	rest, err := b.events(one.ID, "5")
	must(b.t, err)
	if len(rest) != len(all)-5 || rest[0] != all[5] {
		b.t.Errorf("behind the fifth there are %d of %d events", len(rest), len(all))
	}
}

func (b *builder) cached(t *testing.T) {
	b = b.with(t)
	request := map[string]any{"context": "/root/app", "tags": []string{"app:2"}, "args": map[string]string{"WHO": "you"}}
	again := b.build(request)
	if again.Totals.Steps != 4 || again.Totals.Done != 4 || again.Totals.Cached < 3 {
		t.Errorf("nothing changed: %+v", again.Totals)
	}
	for _, line := range []int{3, 5, 7} {
		if s := again.line(t, line); s.State != "cached" {
			t.Errorf("line %d is %s", line, s.State)
		}
	}
	b.put(map[string]string{"/root/app/text": "another text\n"})
	request["target"] = "build"
	changed := b.build(request)
	if run, copied := changed.line(t, 3), changed.line(t, 5); run.State != "cached" || run.Size == nil || copied.State != "succeeded" {
		t.Errorf("a file changed: RUN %+v, COPY %+v", run, copied)
	}
	request["no_cache"] = true
	if all := b.build(request); all.Totals.Cached > 1 || all.line(t, 3).State != "succeeded" {
		t.Errorf("without the cache: %+v", all.Totals)
	}
}

const broken = `FROM busybox
ENV KIND=half
WORKDIR /work
RUN echo first > one
RUN echo $KIND > made && \
    echo someone >> /etc/passwd && \
    exit 42
RUN never
`

func (b *builder) failing(t *testing.T) {
	b = b.with(t)
	b.put(map[string]string{"/root/broken/Dockerfile": broken})
	over := b.build(map[string]any{"context": "/root/broken"})
	if over.State != "failed" || over.Error == nil {
		t.Fatalf("%+v", over)
	}
	at := over.line(t, 5)
	if e := over.Error; e.Line != 5 || e.EndLine != 7 || e.ExitCode != 42 || e.Step != at.ID || !strings.Contains(e.Message, "did not complete successfully: exit code: 42") {
		t.Errorf("%+v", *e)
	}
	if at.State != "failed" || at.Error == "" || over.line(t, 4).State != "succeeded" || over.line(t, 8).State != "cancelled" {
		t.Errorf("%+v", over.Steps)
	}
	for name, c := range map[string]struct {
		text, says string
		line       int
	}{
		"syntax":  {"FROM busybox\nRUNN x\n", "unknown instruction: RUNN", 2},
		"empty":   {"", "cannot be empty", 0},
		"no base": {"FROM no.such.example/image\n", "no.such.example", 1},
		"cyclic":  {"FROM busybox AS a\nCOPY --from=b / /\nFROM busybox AS b\nCOPY --from=a / /\n", "circular dependency", 0},
		"no file": {"FROM busybox\nCOPY nothing /\n", "nothing", 2},
		"doubles": {"FROM busybox\nENV A=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" + strings.Repeat("ENV A=$A$A\n", 60), "more than 1024 KiB", 0},
	} {
		b.put(map[string]string{"/root/wrong/Dockerfile": c.text})
		over := b.build(map[string]any{"context": "/root/wrong"})
		if over.State != "failed" || over.Error == nil || !strings.Contains(over.Error.Message, c.says) || c.line != 0 && over.Error.Line != c.line {
			t.Errorf("%s: %s %+v", name, over.State, over.Error)
		}
	}
}

// A base image can hide what a Dockerfile must not say.
func (b *builder) hidden(t *testing.T) {
	b = b.with(t)
	b.put(map[string]string{
		"/root/bomb/Dockerfile": "FROM busybox\nENV A=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" + strings.Repeat("ONBUILD ENV A=$A$A\n", 60),
		"/root/onit/Dockerfile": "FROM bomb\nRUN true\n",
	})
	if over := b.build(map[string]any{"context": "/root/bomb", "tags": []string{"bomb"}}); over.State != "succeeded" {
		t.Fatalf("%+v", over.Error)
	}
	if over := b.build(map[string]any{"context": "/root/onit"}); over.State != "failed" || over.Error.Line != 1 || !strings.Contains(over.Error.Message, "ONBUILD") {
		t.Errorf("%s %+v", over.State, over.Error)
	}
	b.sh("docker rmi bomb")
}

// debugging opens terminals where a build broke, and after a step before that.
func (b *builder) debugging(t *testing.T) {
	b = b.with(t)
	over := b.build(map[string]any{"context": "/root/broken"})
	held := b.engineHolds()
	open := func(step string) *screen {
		var opened struct{ Terminal string }
		b.ask("POST", "/builds/"+over.ID+"/steps/"+step+"/debug", nil, http.StatusCreated, &opened)
		return b.terminal(opened.Terminal)
	}
	failed := open(over.Error.Step)
	failed.types("pwd; cat one made; grep -c someone /etc/passwd; echo $KIND; id -u; tty; echo 'th''e end'\n")
	failed.until("the end")
	for _, want := range []string{"\r\n/work\r\n", "\r\nfirst\r\nhalf\r\n1\r\nhalf\r\n0\r\n/dev/pts/0\r\n"} {
		if !strings.Contains(failed.output.String(), want) {
			t.Errorf("where it broke: %q has no %q", failed.output.String(), want)
		}
	}
	before := open(over.line(t, 4).ID)
	before.types("cat one; ls made; touch changed; echo 'th''e end'\n")
	before.until("the end")
	if out := before.output.String(); !strings.Contains(out, "\r\nfirst\r\n") || !strings.Contains(out, "made: No such file") {
		t.Errorf("before it broke: %q", out)
	}
	if list := b.ask("GET", "/terminals", nil, http.StatusOK, nil); strings.Count(list, `"debug-`) != 2 {
		t.Errorf("terminals: %s", list)
	}
	b.put(map[string]string{"/root/bare/Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	bare := b.build(map[string]any{"context": "/root/bare"})
	if text := b.ask("POST", "/builds/"+bare.ID+"/steps/"+bare.line(t, 2).ID+"/debug", nil, http.StatusNotFound, nil); !strings.Contains(text, "have no shell") {
		t.Errorf("a step without a shell: %s", text)
	}
	before.types("exit\n")
	b.ask("POST", "/builds/"+over.ID+"/steps/sha256:none/debug", nil, http.StatusNotFound, nil)
	b.ask("DELETE", "/builds/"+over.ID, nil, http.StatusNoContent, nil) // ends the other
	eventually(t, patience, func() error {
		if list := b.ask("GET", "/terminals", nil, http.StatusOK, nil); strings.Contains(list, `"name":"debug-1","title":"","running":true`) {
			return fmt.Errorf("terminals: %s", list)
		}
		return nil
	})
	b.ask("GET", "/builds/"+over.ID, nil, http.StatusNotFound, nil)
	b.ask("DELETE", "/terminals/debug-1", nil, http.StatusNoContent, nil)
	b.ask("DELETE", "/terminals/debug-2", nil, http.StatusNoContent, nil)
	eventually(t, patience, func() error {
		if now := b.engineHolds(); now != held {
			return fmt.Errorf("after the terminals the engine holds %s, before them %s", now, held)
		}
		return nil
	})
}

// engineHolds counts what the sandbox's first process has: mounts, network interfaces, control groups, open files, children.
func (b *builder) engineHolds() string {
	got := b.sh(`docker run --rm --privileged --net host --pid host busybox sh -c '
		wc -l </proc/1/mounts; ls /sys/class/net | wc -l; grep -c . /proc/1/cgroup; ls /proc/1/fd | wc -l; ps | grep -c .'`)
	if got.ExitCode != 0 {
		b.t.Fatalf("%+v", got)
	}
	return strings.Join(strings.Fields(got.Stdout), " ")
}

func (b *builder) fromDocker(t *testing.T) {
	b = b.with(t)
	got := b.sh("cd /root/broken && docker build -t mine . 2>&1; cd /root/app && docker build --build-arg WHO=cli -t cli:1 -t cli:2 . 2>&1")
	if got.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
	if checked := b.sh("cd /root/app && docker build --check . 2>&1"); !strings.Contains(checked.Stdout, "StageNameCasing") {
		t.Errorf("%+v", checked)
	}
	var list struct{ Builds []built }
	eventually(t, patience, func() error {
		b.ask("GET", "/builds", nil, http.StatusOK, &list)
		if list.Builds[0].State == "running" || list.Builds[1].State == "running" {
			return errors.New("they run")
		}
		return nil
	})
	newest, failed := b.wait(list.Builds[0].ID), b.wait(list.Builds[1].ID)
	if newest.Source != "docker" || newest.State != "succeeded" || newest.Args["WHO"] != "cli" || newest.Text != app || newest.Image == "" ||
		strings.Join(newest.Tags, " ") != "cli:1 cli:2" || newest.line(t, 3).Size == nil {
		t.Errorf("docker build: %+v", newest)
	}
	if failed.Source != "docker" || failed.State != "failed" || failed.Error.Line != 5 || failed.Error.ExitCode != 42 {
		t.Errorf("docker build that fails: %+v, %+v", failed, failed.Error)
	}
	var opened struct{ Terminal string }
	b.ask("POST", "/builds/"+failed.ID+"/steps/"+failed.Error.Step+"/debug", nil, http.StatusCreated, &opened)
	b.ask("DELETE", "/builds/"+failed.ID, nil, http.StatusNoContent, nil)
	b.ask("DELETE", "/terminals/"+opened.Terminal, nil, http.StatusNoContent, nil)
}

func (b *builder) cancelled(t *testing.T) {
	b = b.with(t)
	b.put(map[string]string{"/root/long/Dockerfile": "FROM busybox\nRUN echo begun && sleep 1000\n"})
	var begun built
	b.ask("POST", "/builds", map[string]any{"context": "/root/long"}, http.StatusCreated, &begun)
	eventually(t, patience, func() error {
		if log := b.ask("GET", "/builds/"+begun.ID+"/log", nil, http.StatusOK, nil); !strings.Contains(log, " begun\n") {
			return errors.New(log)
		}
		return nil
	})
	b.ask("DELETE", "/builds/"+begun.ID, nil, http.StatusConflict, nil)
	b.ask("POST", "/builds/"+begun.ID+"/cancel", nil, http.StatusNoContent, nil)
	over := b.wait(begun.ID)
	if over.State != "cancelled" || over.Error != nil || over.line(t, 2).State != "cancelled" {
		t.Errorf("%+v", over)
	}
	b.ask("POST", "/builds/"+begun.ID+"/cancel", nil, http.StatusConflict, nil)
	if left := b.sh("ps -ef | grep '[s]leep 1000'"); left.Stdout != "" {
		t.Errorf("it still runs: %s", left.Stdout)
	}
	// No more than four at a time.
	b.put(map[string]string{"/root/long/Dockerfile": "FROM busybox\nARG N\nRUN echo $N && sleep 1000\n"})
	var ids []string
	for n := range 4 {
		b.ask("POST", "/builds", map[string]any{"context": "/root/long", "args": map[string]string{"N": fmt.Sprint(n)}}, http.StatusCreated, &begun)
		ids = append(ids, begun.ID)
	}
	b.ask("POST", "/builds", map[string]any{"context": "/root/long"}, http.StatusTooManyRequests, nil)
	for _, id := range ids {
		b.ask("POST", "/builds/"+id+"/cancel", nil, http.StatusNoContent, nil)
		if over := b.wait(id); over.State != "cancelled" {
			t.Errorf("%+v", over)
		}
	}
}

func (b *builder) refused(t *testing.T) {
	b = b.with(t)
	b.sh("mkdir -p /root/links /root/empty && ln -s /proc/1/root /root/links/out && ln -s / /root/links/root && echo FROM scratch >/root/links/Dockerfile && mkfifo /root/links/pipe")
	for name, c := range map[string]struct {
		body   any
		status int
		says   string
	}{
		"not JSON":           {"{", http.StatusBadRequest, "not the description"},
		"unknown field":      {`{"context":"/root/app","privileged":true}`, http.StatusBadRequest, "privileged"},
		"no context":         {`{}`, http.StatusBadRequest, "absolute path"},
		"relative":           {`{"context":"app"}`, http.StatusBadRequest, "absolute path"},
		"not there":          {`{"context":"/root/nowhere"}`, http.StatusNotFound, "context"},
		"a file":             {`{"context":"/etc/passwd"}`, http.StatusConflict, "context"},
		"no Dockerfile":      {`{"context":"/root/empty"}`, http.StatusNotFound, "Dockerfile"},
		"Dockerfile a pipe":  {`{"context":"/root/links","dockerfile":"pipe"}`, http.StatusBadRequest, "no regular file"},
		"Dockerfile outside": {`{"context":"/root/links","dockerfile":"out/disk/docker"}`, http.StatusBadRequest, "too many levels of symbolic links"},
		"bad tag":            {`{"context":"/root/app","tags":["A B"]}`, http.StatusBadRequest, "not a name"},
		"too large":          {`{"context":"` + strings.Repeat("x", 300<<10) + `"}`, http.StatusBadRequest, "at most 256 KiB"},
	} {
		if text := b.ask("POST", "/builds", c.body, c.status, nil); !strings.Contains(text, c.says) {
			t.Errorf("%s: %s", name, text)
		}
	}
	b.ask("GET", "/builds/nothing", nil, http.StatusNotFound, nil)
	b.ask("GET", "/builds/nothing/log", nil, http.StatusNotFound, nil)
	b.ask("GET", "/builds/..%2f..%2fetc", nil, http.StatusBadRequest, nil)
	// A link that leads out of the context brings what is named so, and nothing of the host.
	b.put(map[string]string{"/root/links/Dockerfile": "FROM busybox\nCOPY out /out\nCOPY root /root2\nRUN ls -l /out /root2; test ! -e /out/disk\n"})
	if over := b.build(map[string]any{"context": "/root/links"}); over.State != "failed" || over.Error.Line != 2 || !strings.HasSuffix(over.Error.Message, `"/out": not found`) {
		t.Errorf("%s %+v", over.State, over.Error)
	}
}

// contexts have files that are not used, are ignored, have strange names, or are very many.
func (b *builder) contexts(t *testing.T) {
	b = b.with(t)
	made := b.sh(`mkdir -p /root/odd/many && cd /root/odd && truncate -s 10G huge && echo small >small && echo secret >ignored && echo 'ig*' >.dockerignore &&
		printf x >"$(printf 'new\nline')" && printf y >"$(printf '\033[31mred')" && ln -s small link && ln -s /small absolute && mkfifo pipe &&
		cd many && seq 1 5000 | xargs touch`)
	if made.ExitCode != 0 {
		t.Fatalf("%+v", made)
	}
	b.put(map[string]string{"/root/odd/Dockerfile": "FROM busybox\nCOPY small link absolute /x/\nCOPY n* *red /y/\nCOPY many /many\nCOPY ignored /z/\n"})
	over := b.build(map[string]any{"context": "/root/odd", "tags": []string{"odd"}})
	if over.State != "failed" || over.Error.Line != 5 {
		t.Errorf("an ignored file is found: %s %+v", over.State, over.Error)
	}
	b.put(map[string]string{"/root/odd/files/Dockerfile": "FROM busybox\nCOPY small link absolute /x/\nCOPY n* *red /y/\nCOPY many /many\n"})
	over = b.build(map[string]any{"context": "/root/odd", "dockerfile": "files/Dockerfile", "tags": []string{"odd"}})
	if over.State != "succeeded" || over.Dockerfile != "files/Dockerfile" {
		t.Fatalf("%s %+v", over.State, over.Error)
	}
	t.Logf("a context of 5,000 files: %s", over.EndedAt.Sub(over.StartedAt))
	got := b.sh("docker run --rm odd sh -c 'cat /x/small /x/link /x/absolute; ls /y | wc -l; ls /many | wc -l'; docker rmi odd >/dev/null")
	if got.Stdout != "small\nsmall\nsmall\n2\n5000\n" {
		t.Errorf("%+v", got)
	}
	b.put(map[string]string{"/root/Dockerfile.elsewhere": "FROM busybox\nCOPY small /\n"})
	if over := b.build(map[string]any{"context": "/root/odd", "dockerfile": "/root/Dockerfile.elsewhere"}); over.State != "succeeded" {
		t.Errorf("a Dockerfile elsewhere: %+v", over.Error)
	}
}

func (b *builder) lookedAt(t *testing.T) {
	b = b.with(t)
	var found struct {
		Warnings []struct {
			Rule string
			Line int
		}
		Error *struct {
			Message string
			Line    int
		}
		Stages []struct{ Name, Base string }
	}
	b.ask("POST", "/dockerfile", app, http.StatusOK, &found)
	if found.Error != nil || len(found.Stages) != 2 || len(found.Warnings) != 1 || found.Warnings[0].Rule != "StageNameCasing" || found.Warnings[0].Line != 6 {
		t.Errorf("%+v", found)
	}
	b.ask("POST", "/dockerfile", "FROM busybox\nFOO\n", http.StatusOK, &found)
	if found.Error == nil || found.Error.Line != 2 {
		t.Errorf("%+v", found)
	}
	b.ask("POST", "/dockerfile", strings.Repeat("x", 1<<20+1), http.StatusRequestEntityTooLarge, nil)
}

// TestBuildOverAKilledServer kills the server in the middle of a build: the build goes on, and its log is complete.
func TestBuildOverAKilledServer(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	b := newBuilder(t, s)
	b.put(map[string]string{"/root/app/Dockerfile": "FROM busybox\nRUN for i in $(seq 1 60); do echo line $i; usleep 100000; done\nRUN echo done\n"})
	var begun built
	b.ask("POST", "/builds", map[string]any{"context": "/root/app", "tags": []string{"survivor"}}, http.StatusCreated, &begun)
	eventually(t, patience, func() error {
		if log := b.ask("GET", "/builds/"+begun.ID+"/log", nil, http.StatusOK, nil); !strings.Contains(log, " line 10\n") {
			return errors.New(log)
		}
		return nil
	})
	followed := make(chan []event, 1)
	go func() {
		seen, _ := b.events(begun.ID, "") // the connection breaks
		followed <- seen
	}()
	eventually(t, patience, func() error {
		if log := b.ask("GET", "/builds/"+begun.ID+"/log", nil, http.StatusOK, nil); !strings.Contains(log, " line 15\n") {
			return errors.New(log)
		}
		return nil
	})
	s.kill()
	seen := <-followed
	s.start()
	if len(seen) == 0 {
		t.Fatal("nothing was seen before the server was killed")
	}
	rest, err := b.events(begun.ID, seen[len(seen)-1].id)
	must(t, err)
	var output strings.Builder
	for i, e := range append(seen, rest...) {
		if e.id != fmt.Sprint(i+1) {
			t.Fatalf("event %d has number %s", i+1, e.id)
		}
		if e.kind == "log" {
			var l struct{ Text string }
			must(t, json.Unmarshal([]byte(e.data), &l))
			output.WriteString(l.Text)
		}
	}
	var want strings.Builder
	for i := range 60 {
		fmt.Fprintf(&want, "line %d\n", i+1)
	}
	if output.String() != want.String()+"done\n" {
		t.Errorf("the output is %q", output.String())
	}
	if over := b.wait(begun.ID); over.State != "succeeded" {
		t.Errorf("%+v", over)
	}
}

// TestBuildsThatMisbehave prints a gigabyte, and fills the disk.
func TestBuildsThatMisbehave(t *testing.T) {
	s := newServer(t, strings.ReplaceAll(dockerEnvironments, "disk: 2GiB", "disk: 300MiB"))
	s.start()
	b := newBuilder(t, s)
	b.put(map[string]string{
		"/root/loud/Dockerfile": "FROM busybox\nRUN head -c 1000000000 /dev/zero | tr '\\0' 'x' | fold -w 100\n",
		"/root/full/Dockerfile": "FROM busybox\nRUN dd if=/dev/zero of=/fill bs=1048576\nRUN true\n",
	})
	loud := b.build(map[string]any{"context": "/root/loud"})
	if loud.State != "succeeded" {
		t.Errorf("%s: %+v", loud.State, loud.Error)
	}
	if log := b.ask("GET", "/builds/"+loud.ID+"/log", nil, http.StatusOK, nil); len(log) < 100<<10 || len(log) > 10<<20 || !strings.Contains(log, "clipped") {
		t.Errorf("of a gigabyte %d bytes are kept", len(log))
	}
	b.sh("mkdir /root/huge && truncate -s 10G /root/huge/huge")
	b.put(map[string]string{"/root/huge/Dockerfile": "FROM busybox\nCOPY huge /\n"})
	if over := b.build(map[string]any{"context": "/root/huge"}); over.State != "failed" || !strings.Contains(over.Error.Message, "no space left") {
		t.Errorf("ten gigabytes: %s %+v", over.State, over.Error)
	}
	b.lives("a context of ten gigabytes")
	full := b.build(map[string]any{"context": "/root/full"})
	if full.State != "failed" || full.Error == nil || full.Error.Line != 2 {
		t.Fatalf("%s: %+v", full.State, full.Error)
	}
	if log := b.ask("GET", "/builds/"+full.ID+"/log", nil, http.StatusOK, nil); !strings.Contains(log, "No space left on device") {
		t.Errorf("the log does not say why: %s", log)
	}
	all, err := b.events(full.ID, "")
	must(t, err)
	if all[len(all)-1].kind != "end" {
		t.Errorf("the last event is %+v", all[len(all)-1])
	}
	b.lives("a step that fills the disk")
	b.put(map[string]string{"/root/full/Dockerfile": "FROM busybox\nRUN echo small\n"})
	if after := b.build(map[string]any{"context": "/root/full"}); after.State != "succeeded" {
		t.Errorf("after that: %+v", after.Error)
	}
}

// lives waits until the session has room again.
func (b *builder) lives(after string) {
	b.t.Helper()
	eventually(b.t, patience, func() error {
		if got := b.sh("dd if=/dev/zero of=/root/room bs=1M count=50 2>&1 && rm /root/room && docker run --rm busybox echo lives"); !strings.Contains(got.Stdout, "lives\n") {
			return fmt.Errorf("after %s: %+v", after, got)
		}
		return nil
	})
}
