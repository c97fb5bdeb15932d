package build_test

import (
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/build"
)

const twoStages = `ARG BASE=busybox
FROM $BASE AS a
RUN make
FROM busybox AS unused
RUN nothing
FROM scratch
ENV X=1
COPY --from=a /a /a
RUN last
`

// step is a vertex of BuildKit's.
func step(name string, done, cached bool, failed string) *client.SolveStatus {
	now := time.Unix(0, 0)
	v := &client.Vertex{Digest: digest.FromString(name), Name: name, Started: &now, Cached: cached, Error: failed}
	if done {
		v.Completed = &now
	}
	return &client.SolveStatus{Vertexes: []*client.Vertex{v}}
}

func said(name, text string) *client.SolveStatus {
	return &client.SolveStatus{Logs: []*client.VertexLog{{Vertex: digest.FromString(name), Data: []byte(text)}}}
}

// TestStepsAreToldInOrder: stages run side by side, and what is said of them comes as the Dockerfile has it.
func TestStepsAreToldInOrder(t *testing.T) {
	var out strings.Builder
	follow, end, err := build.Teller(twoStages, "", func(s string) { out.WriteString(s) })
	if err != nil {
		t.Fatal(err)
	}
	const from, run, copied, last = "[a 1/2] FROM docker.io/library/busybox", "[a 2/2] RUN make", "[stage-2 1/2] COPY --from=a /a /a", "[stage-2 2/2] RUN last"
	for _, s := range []*client.SolveStatus{
		step("[internal] load build definition", true, false, ""),
		step(from, false, false, ""), step(run, false, false, ""), said(run, "one\n"), step(from, true, true, ""), said(run, "two\n"),
		step(copied, true, true, ""), step(run, true, false, ""), step(last, false, false, ""), said(last, "three\n"),
		step(last, true, false, "exit code: 3"),
	} {
		follow(s)
	}
	end(false)
	ids := func(text string) string {
		for _, n := range []string{from, run, copied, last} {
			text = strings.ReplaceAll(text, digest.FromString(n).Encoded()[:12], "ID")
		}
		return text
	}
	got := ids(out.String())
	for _, want := range []string{
		"Step 2/9 : FROM $BASE AS a\n ---> ID\nStep 3/9 : RUN make\n ---> Running in ID\none\ntwo\n ---> ID\nStep 6/9 : FROM scratch\n",
		"Step 8/9 : COPY --from=a /a /a\n ---> Using cache\n ---> ID\nStep 9/9 : RUN last\n ---> Running in ID\nthree\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nhas not\n%s", got, want)
		}
	}
	if strings.Contains(got, "nothing") || strings.Count(got, "RUN last") != 1 {
		t.Errorf("a stage that is not needed, or a step told twice:\n%s", got)
	}
}

func TestDockerfilesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"": "cannot be empty", " \n": "cannot be empty", "FROM a\nFOO x\n": "unknown instruction: FOO", "RUN x\n": "no build stage",
	} {
		if _, _, err := build.Teller(text, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add(twoStages, "a")
	f.Add("FROM x\nRUN <<E\nE\n", "")
	f.Fuzz(func(_ *testing.T, text, target string) {
		follow, end, err := build.Teller(text, target, func(string) {})
		if err != nil {
			return
		}
		follow(step("[stage-0 1/1] RUN x", true, false, ""))
		end(true)
	})
}
