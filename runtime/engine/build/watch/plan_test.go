package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/build/record"
	"berth/runtime/engine/build/watch"
)

// images answer for every base image.
type images struct{}

func (images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin"],"WorkingDir":"/base"},` +
		`"rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`), nil
}

// define is what the frontend makes of a Dockerfile.
func define(t *testing.T, text string) *pb.Definition {
	t.Helper()
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", []byte(text))
	source.Definition = &llb.Definition{}
	caps := pb.Caps.CapSet(pb.Caps.All())
	result, err := dockerfile2llb.Dockerfile2LLB(t.Context(), []byte(text), dockerfile2llb.ConvertOpt{MetaResolver: images{}, SourceMap: source, LLBCaps: &caps})
	if err != nil {
		t.Fatal(err)
	}
	def, err := result.State.Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return def.ToPB()
}

const twoStages = `FROM busybox AS build
WORKDIR /src
COPY a b ./
ENV KIND=x
RUN make && \
    make install
RUN <<EOT
true
EOT
FROM busybox
COPY --from=build /out /out
USER nobody
RUN --mount=from=build,target=/mnt id
`

// vertices are the names of steps as the solver loads a definition, by digest: those that its messages have.
func vertices(t *testing.T, d *pb.Definition) map[string]string {
	t.Helper()
	edge, err := llbsolver.Load(t.Context(), d, nil, llbsolver.NormalizeRuntimePlatforms())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var walk func(v solver.Vertex)
	walk = func(v solver.Vertex) {
		all[v.Digest().String()] = v.Name()
		for _, in := range v.Inputs() {
			walk(in.Vertex)
		}
	}
	walk(edge.Vertex)
	return all
}

// find is the only step whose name has a part.
func find(t *testing.T, g watch.Graph, part string) string {
	t.Helper()
	i := slices.IndexFunc(g.Order(), func(id string) bool { return strings.Contains(g.Name(id), part) })
	if i < 0 {
		t.Fatalf("no step %q", part)
	}
	return g.Order()[i]
}

func TestStepsAndTheirLines(t *testing.T) {
	d := define(t, twoStages)
	g, err := watch.ReadGraph(d)
	if err != nil {
		t.Fatal(err)
	}
	known := vertices(t, d)
	for _, id := range g.Order() {
		if known[id] != g.Name(id) {
			t.Errorf("the solver calls %s %q, the plan %q", id, known[id], g.Name(id))
		}
	}
	for part, want := range map[string]string{
		"FROM": "1-1", "WORKDIR /src": "2-2", "COPY a b": "3-3", "RUN make": "5-6", "RUN <<EOT": "7-9", "COPY --from": "11-11", "RUN --mount": "13-13",
	} {
		first, last := g.Lines(find(t, g, part))
		if got := fmt.Sprintf("%d-%d", first, last); got != want {
			t.Errorf("%s: lines %s, want %s", part, got, want)
		}
	}
}

func TestDefinitionUpToAStep(t *testing.T) {
	d := define(t, twoStages)
	g, err := watch.ReadGraph(d)
	if err != nil {
		t.Fatal(err)
	}
	all := vertices(t, d)
	for _, id := range g.Order() {
		part, err := g.UpTo(id)
		if err != nil {
			t.Fatal(err)
		}
		edge, err := llbsolver.Load(t.Context(), part, nil, llbsolver.NormalizeRuntimePlatforms())
		if err != nil {
			t.Fatalf("%s: %v", g.Name(id), err)
		}
		if edge.Vertex.Digest().String() != id {
			t.Errorf("%s: its result is that of %s", g.Name(id), edge.Vertex.Name())
		}
		for dgst, name := range vertices(t, part) {
			if all[dgst] != name {
				t.Errorf("%s needs %s, which is no step of the whole", g.Name(id), name)
			}
		}
	}
	if part, err := g.UpTo(find(t, g, "WORKDIR")); err != nil || len(part.Def) != 3 {
		t.Errorf("up to the second step there are %d, %v", len(part.GetDef())-1, err)
	}
}

func TestBasesAndLayers(t *testing.T) {
	g, err := watch.ReadGraph(define(t, twoStages))
	if err != nil {
		t.Fatal(err)
	}
	for part, base := range map[string]string{
		"RUN <<EOT": "RUN make", "RUN make": "COPY a b", "COPY a b": "WORKDIR", "WORKDIR": "FROM", "COPY --from": "FROM", "RUN --mount": "COPY --from",
	} {
		if got := g.Base(find(t, g, part)); got != find(t, g, base) {
			t.Errorf("%s changes the result of %q, want %q", part, g.Name(got), base)
		}
	}
	if base := g.Base(find(t, g, "FROM")); base != "" {
		t.Errorf("FROM stands on %q", g.Name(base))
	}
	layers, straight := g.Layers()
	var names []string
	for _, id := range layers {
		names = append(names, g.Name(id))
	}
	if !straight || len(names) != 3 || !strings.Contains(names[0], "RUN --mount") || !strings.Contains(names[1], "COPY --from") || !strings.Contains(names[2], "FROM") {
		t.Errorf("layers %q, %v", names, straight)
	}
	if g, err = watch.ReadGraph(define(t, "FROM busybox\nCOPY --link a /\n")); err != nil {
		t.Fatal(err)
	}
	if layers, straight := g.Layers(); straight {
		t.Errorf("the layers of a merge: %v", layers)
	}
}

func TestHowAProcessWouldRun(t *testing.T) {
	g, err := watch.ReadGraph(define(t, twoStages))
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]string{
		"RUN make": "/src|KIND=x", "RUN <<EOT": "/src|KIND=x", "COPY a b": "/src|KIND=x", "COPY --from": "/base|", "RUN --mount": "/base|",
	} {
		m := g.Meta(find(t, g, part))
		kind := ""
		for _, kv := range m.Env {
			if strings.HasPrefix(kv, "KIND") {
				kind = kv
			}
		}
		if got := m.Cwd + "|" + kind; got != want {
			t.Errorf("%s: %s, want %s", part, got, want)
		}
	}
	if user := g.Meta(find(t, g, "RUN --mount")).User; user != "nobody" {
		t.Errorf("user %q", user)
	}
}

func TestExplain(t *testing.T) {
	failed := errdefs.WrapVertex(fmt.Errorf("process %q did not complete successfully: %w", "x", &gatewayapi.ExitError{ExitCode: 3}), "sha256:1")
	at := func(err error, lines ...int32) error {
		s := &errdefs.Source{Info: &pb.SourceInfo{Data: []byte("FROM x\n")}}
		for _, l := range lines {
			s.Ranges = append(s.Ranges, &pb.Range{Start: &pb.Position{Line: l}, End: &pb.Position{Line: l}})
		}
		return errdefs.WithSource(err, s)
	}
	for name, c := range map[string]struct {
		err  error
		want record.Error
		text string
	}{
		"a process": {
			at(failed, 4, 5), record.Error{Message: `process "x" did not complete successfully: exit code: 3`, Step: "sha256:1", Line: 4, EndLine: 5, ExitCode: 3}, "FROM x\n",
		},
		"no line":  {failed, record.Error{Message: `process "x" did not complete successfully: exit code: 3`, Step: "sha256:1", ExitCode: 3}, ""},
		"plain":    {errors.New("failed to solve: no"), record.Error{Message: "no"}, ""},
		"unknown":  {&gatewayapi.ExitError{ExitCode: gatewayapi.UnknownExitStatus, Err: errors.New("gone")}, record.Error{Message: "gone"}, ""},
		"a source": {at(errors.New("dockerfile parse error"), 2), record.Error{Message: "dockerfile parse error", Line: 2, EndLine: 2}, "FROM x\n"},
	} {
		if got, text := watch.Explain(c.err); got != c.want || string(text) != c.text {
			t.Errorf("%s: %+v %q", name, got, text)
		}
	}
}

func TestDescribe(t *testing.T) {
	var a record.About
	watch.Describe(&a, map[string]string{
		"filename": "x/Dockerfile", "target": "build", "build-arg:A": "1", "build-arg:B": "", "no-cache": "", "label:c": "2", "context": "https://example.com/x.git",
	})
	if a.Dockerfile != "x/Dockerfile" || a.Target != "build" || len(a.Args) != 2 || a.Args["A"] != "1" || !a.NoCache || a.Context != "https://example.com/x.git" {
		t.Errorf("%+v", a)
	}
}
